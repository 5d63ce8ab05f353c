"""What each event of the story means, in a sentence, in English and in Chinese."""

from __future__ import annotations

from collections.abc import Mapping

from sim.model import LDS
from sim.report.steps import Words
from sim.trace import Event

_SAID: Mapping[str, Words] = {
    "core.apply": Words("The WasmPlugin is applied.", "应用 WasmPlugin 清单。"),
    "core.convert": Words("Core converts Higress' resource into Istio's.", "Core 把 Higress 资源转换成 Istio 资源。"),
    "core.template": Words("Core fills in a template.", "Core 填充模板。"),
    "core.mcp_push": Words(
        "Core sends the Istio resources to Discovery, MCP over xDS.",
        "Core 用 MCP over xDS 把 Istio 资源发给 Discovery。",
    ),
    "discovery.received": Words("Discovery has the new resources.", "Discovery 收到新的资源。"),
    "discovery.debounce": Words("Discovery waits for quiet (debounce).", "Discovery 等待变更平静（debounce）。"),
    "discovery.mcp_refused": Words("Discovery refuses a resource from Core.", "Discovery 拒绝了 Core 的资源。"),
    "discovery.mcp_disconnected": Words("Discovery lost its connection to Core.", "Discovery 与 Core 的连接断开。"),
    "discovery.push": Words("Discovery sends to the agent.", "Discovery 下发给 Agent。"),
    "discovery.nack": Words("Discovery is told of the NACK.", "Discovery 收到 NACK。"),
    "envoy.subscribe": Words(
        "Envoy found config_discovery in the listener and subscribes by ECDS.",
        "Envoy 在监听器里发现 config_discovery，发起 ECDS 订阅。",
    ),
    "agent.forward": Words("The agent passes it on as it came.", "Agent 原样透传。"),
    "agent.intercept": Words(
        "The agent keeps the ECDS response back: Envoy can't pull an image.",
        "Agent 拦下 ECDS 响应：Envoy 自己不能拉取镜像。",
    ),
    "registry.request": Words("The registry answers.", "镜像仓库应答。"),
    "registry.push": Words("An image is pushed to the registry.", "镜像推送到仓库。"),
    "agent.fetch": Words("The agent pulls the image.", "Agent 拉取镜像。"),
    "agent.unpack": Words("The agent takes the wasm out of the image.", "Agent 从镜像中解出 wasm。"),
    "agent.shim": Words("The agent adapts the module's ABI.", "Agent 适配模块的 ABI。"),
    "agent.rewrite": Words("The image's URL becomes the path of a local file.", "镜像 URL 改写为本地文件路径。"),
    "agent.replace": Words(
        "The pull failed: the agent puts an RBAC filter in the plugin's place.",
        "拉取失败：Agent 用 RBAC 过滤器顶替该插件。",
    ),
    "agent.retry": Words("The agent tries once more.", "Agent 重试。"),
    "agent.overtaken": Words("A newer push has overtaken this one.", "这次推送被更新的推送超过。"),
    "agent.deliver": Words("The agent answers Envoy.", "Agent 响应 Envoy。"),
    "agent.nack": Words("The agent refuses the response (NACK).", "Agent 拒绝该响应（NACK）。"),
    "agent.upstream_failed": Words("The agent lost Discovery.", "Agent 与 Discovery 的连接失败。"),
    "agent.stream_broken": Words("An xDS stream broke.", "xDS 流中断。"),
    "agent.purge": Words("The agent deletes a cached module.", "Agent 删除缓存的模块。"),
    "envoy.start": Words("Envoy is up.", "Envoy 启动完成。"),
    "envoy.stop": Words("Envoy has ended.", "Envoy 已退出。"),
    "envoy.compile": Words("Envoy's main thread compiles the module.", "Envoy 主线程编译模块。"),
    "envoy.worker_ready": Words("This worker switches to the new module.", "该 worker 切换到新模块。"),
    "envoy.ack": Words("Envoy accepts (ACK).", "Envoy 接受（ACK）。"),
    "envoy.nack": Words("Envoy refuses (NACK) and keeps what it had.", "Envoy 拒绝（NACK），保留原有配置。"),
    "traffic.first_response": Words("The first response by this version.", "该版本的第一个响应。"),
    "traffic.failed": Words("A request failed.", "请求失败。"),
    "traffic.connection_broken": Words("The gateway broke a connection.", "网关断开了连接。"),
    "fault.injected": Words("A fault begins.", "故障注入。"),
    "fault.hit": Words("The fault strikes.", "故障命中。"),
    "fault.cleared": Words("The fault is over.", "故障解除。"),
    "run.kill": Words("The scenario kills a part.", "场景终止一个组件。"),
    "run.start": Words("The scenario starts a part.", "场景启动一个组件。"),
    "run.stop": Words("The scenario stops a part.", "场景停止一个组件。"),
    "run.pause": Words("The scenario pauses a part.", "场景暂停一个组件。"),
    "run.load": Words("The rate of the traffic changes.", "流量的速率改变。"),
    "run.advance": Words("The scenario moves the agent's clock forward.", "场景拨快 Agent 的时钟。"),
    "run.step": Words("A step of the scenario.", "场景的一个步骤。"),
}
_UNTOUCHED = Words("Discovery sends the listeners (LDS) to the agent.", "Discovery 下发监听器（LDS）给 Agent。")
_FAILED = Words("It failed: ", "失败：")

#: Notes of the waterfall, which the terminal tells in English alone.
NOTES_ZH: Mapping[str, str] = {
    "the conversion failed": "转换失败",
    "LDS alone removes a plugin": "只靠 LDS 移除插件",
    "the pull failed": "拉取失败",
    "from the cache": "来自缓存",
    "allow-all in the plugin's place": "以 allow-all 顶替插件",
    "deny-all in the plugin's place": "以 deny-all 顶替插件",
    "NACK to Discovery, by the agent": "Agent 向 Discovery 发 NACK",
    "the image could not be used": "镜像不可用",
    "NACK by Envoy": "Envoy 发 NACK",
    "did not happen": "未发生",
    "subscribed already": "早已订阅",
    "not measured": "未测量",
    "not in the trace": "trace 中没有",
    "same bytes, listener untouched": "字节相同，监听器不变",
    "listener untouched": "监听器不变",
}


def said(event: Event) -> Words | None:
    """The sentence; None for what needs none."""
    words = _UNTOUCHED if event.event == "discovery.push" and event.type_url == LDS else _SAID.get(event.event)
    if words is None or event.span != "failed":
        return words
    why = str(event.data.get("error", ""))
    return Words(f"{words.en} {_FAILED.en}{why}", f"{words.zh}{_FAILED.zh}{why}")

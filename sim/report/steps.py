"""The nine steps of a rollout, as the Higress course counts them: what every view is organised by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sim.model import ECDS, LDS
from sim.trace import Event

Language = Literal["en", "zh"]


@dataclass(frozen=True, slots=True)
class Words:
    """The same thing said in English and in Chinese."""

    en: str
    zh: str

    def said_in(self, language: Language) -> str:
        return self.zh if language == "zh" else self.en


@dataclass(frozen=True, slots=True)
class EventName:
    """An event's name, and the type it has to be about where the name alone does not tell."""

    name: str
    type_url: str | None = None

    def matches(self, event: Event) -> bool:
        return event.event == self.name and self.type_url in (None, event.type_url)


@dataclass(frozen=True, slots=True)
class Step:
    """One of the nine.

    `title` fits into 30 columns, `text` is a sentence. `events` happen when all goes well, `troubles` when it
    does not. `stages` are those of `result.json` that the step's time is made of; empty where none is measured.
    """

    number: int
    title: Words
    text: Words
    events: tuple[EventName, ...]
    stages: tuple[str, ...] = ()
    troubles: tuple[EventName, ...] = ()

    def covers(self, event: Event) -> bool:
        return any(name.matches(event) for name in (*self.events, *self.troubles))


STEPS: tuple[Step, ...] = (
    Step(
        number=1,
        title=Words("Core converts Higress → Istio", "Core 转换 Higress → Istio"),
        text=Words(
            "The WasmPlugin changes; Core notices and turns Higress' resource into Istio's.",
            "WasmPlugin 发生变化，Core 监听到后把 Higress 资源转换成 Istio 资源。",
        ),
        events=(EventName("core.apply"), EventName("core.convert")),
        stages=("convert",),
    ),
    Step(
        number=2,
        title=Words("Core → Discovery, MCP over xDS", "Core → Discovery，MCP over xDS"),
        text=Words(
            "Core pushes the Istio WasmPlugin to Discovery as MCP over xDS; Discovery waits for quiet (debounce).",
            "Core 用 MCP over xDS 把 Istio WasmPlugin 推给 Discovery，Discovery 等到变更平静下来（防抖）。",
        ),
        events=(EventName("core.mcp_push"), EventName("discovery.received"), EventName("discovery.debounce")),
        stages=("mcp", "debounce"),
        troubles=(EventName("discovery.mcp_refused"), EventName("discovery.mcp_disconnected")),
    ),
    Step(
        number=3,
        title=Words("Discovery sends LDS", "Discovery 下发 LDS"),
        text=Words(
            "Discovery sends the listeners (LDS) over the ADS connection that the agent holds open.",
            "Discovery 在 Agent 保持的 ADS 连接上下发监听器（LDS）。",
        ),
        events=(EventName("discovery.push", LDS),),
    ),
    Step(
        number=4,
        title=Words("the agent passes LDS on", "Agent 透传 LDS"),
        text=Words(
            "The agent hands the listeners to Envoy as they came.",
            "Agent 把监听器原样转给 Envoy。",
        ),
        events=(EventName("agent.forward", LDS),),
        troubles=(EventName("envoy.nack", LDS),),
    ),
    Step(
        number=5,
        title=Words("Envoy subscribes by ECDS", "Envoy 发起 ECDS 订阅"),
        text=Words(
            "Envoy meets config_discovery in the listener and asks for that filter's configuration by ECDS.",
            "Envoy 在监听器里看到 config_discovery，便用 ECDS 订阅这个过滤器的配置。",
        ),
        events=(EventName("envoy.subscribe", ECDS),),
    ),
    Step(
        number=6,
        title=Words("the agent intercepts ECDS", "Agent 拦截 ECDS"),
        text=Words(
            "The agent relays the ECDS request to Discovery and keeps the response to itself for now.",
            "Agent 把 ECDS 请求代理给 Discovery，并拦下返回的响应。",
        ),
        events=(EventName("discovery.push", ECDS), EventName("agent.intercept", ECDS)),
        stages=("push",),
    ),
    Step(
        number=7,
        title=Words("the agent pulls the image", "Agent 拉取镜像"),
        text=Words(
            "The agent pulls the plugin's image from the registry, unless it has the module already.",
            "Agent 从镜像仓库拉取插件镜像；本地已有该模块时不再拉取。",
        ),
        events=(EventName("agent.fetch"),),
        stages=("fetch",),
        troubles=(EventName("agent.replace"),),
    ),
    Step(
        number=8,
        title=Words("the agent unpacks and rewrites", "Agent 解包并改写"),
        text=Words(
            "The agent takes the wasm out of the image, puts the local file in place of the URL, and answers Envoy.",
            "Agent 解出 wasm 文件，把 URL 改写成本地路径，再响应 Envoy。",
        ),
        events=(
            EventName("agent.unpack"),
            EventName("agent.shim"),
            EventName("agent.rewrite"),
            EventName("agent.deliver", ECDS),
        ),
        stages=("unpack", "rewrite", "deliver"),
        troubles=(EventName("agent.nack"),),
    ),
    Step(
        number=9,
        title=Words("Envoy loads, traffic sees it", "Envoy 加载，流量生效"),
        text=Words(
            "Envoy compiles the module, its workers switch over one by one, and traffic is answered by it.",
            "Envoy 编译模块，各个 worker 逐一切换，流量开始由新版本处理。",
        ),
        events=(
            EventName("envoy.compile"),
            EventName("envoy.worker_ready"),
            EventName("envoy.ack", ECDS),
            EventName("traffic.first_response"),
        ),
        stages=("load", "first_response"),
        troubles=(EventName("envoy.nack", ECDS),),
    ),
)


def step_of(event: Event) -> Step | None:
    """The step that an event belongs to; None for what is none of the nine."""
    return next((step for step in STEPS if step.covers(event)), None)


def step_of_stage(stage: str) -> Step:
    """The step that a stage of `result.json` is a part of; KeyError for any other word."""
    for step in STEPS:
        if stage in step.stages:
            return step
    raise KeyError(stage)

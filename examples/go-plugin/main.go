// Maintenance answers requests for some paths by itself, while what is behind them is being worked on.
package main

import (
	"errors"
	"strconv"
	"strings"

	"github.com/higress-group/proxy-wasm-go-sdk/proxywasm"
	"github.com/higress-group/proxy-wasm-go-sdk/proxywasm/types"
	"github.com/higress-group/wasm-go/pkg/log"
	"github.com/higress-group/wasm-go/pkg/wrapper"
	"github.com/tidwall/gjson"
)

const (
	defaultMessage           = "down for maintenance\n"
	defaultRetryAfterSeconds = 60
)

// The host never calls main; everything is set up when the module is initialised.
func main() {}

func init() {
	wrapper.SetCtx(
		"maintenance",
		wrapper.ParseConfig(parse),
		wrapper.ProcessRequestHeaders(onRequestHeaders),
		wrapper.ProcessResponseHeaders(onResponseHeaders),
	)
}

// A request whose path starts with one of the prefixes is answered with 503.
type maintenance struct {
	prefixes          []string
	message           []byte
	retryAfterSeconds string
}

func parse(json gjson.Result, config *maintenance) error {
	for _, prefix := range json.Get("prefixes").Array() {
		if !strings.HasPrefix(prefix.String(), "/") {
			return errors.New("prefixes: " + strconv.Quote(prefix.String()) + " does not start with /")
		}
		config.prefixes = append(config.prefixes, prefix.String())
	}
	if len(config.prefixes) == 0 {
		return errors.New("prefixes: there is none, so there is nothing to do")
	}
	config.message = []byte(defaultMessage)
	if message := json.Get("message"); message.Exists() {
		config.message = []byte(message.String())
	}
	seconds := int64(defaultRetryAfterSeconds)
	if configured := json.Get("retry_after_seconds"); configured.Exists() {
		seconds = configured.Int()
	}
	config.retryAfterSeconds = strconv.FormatInt(seconds, 10)
	return nil
}

func onRequestHeaders(ctx wrapper.HttpContext, config maintenance) types.Action {
	for _, prefix := range config.prefixes {
		if strings.HasPrefix(ctx.Path(), prefix) {
			log.Infof("%s is under maintenance", ctx.Path())
			headers := [][2]string{{"retry-after", config.retryAfterSeconds}}
			if err := proxywasm.SendHttpResponse(503, headers, config.message, -1); err != nil {
				log.Errorf("the answer could not be sent: %v", err)
			}
			return types.HeaderStopAllIterationAndWatermark
		}
	}
	return types.HeaderContinue
}

func onResponseHeaders(_ wrapper.HttpContext, _ maintenance) types.Action {
	if err := proxywasm.ReplaceHttpResponseHeader("x-maintenance", "watching"); err != nil {
		log.Warnf("the response could not be marked: %v", err)
	}
	return types.HeaderContinue
}

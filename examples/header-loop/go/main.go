// Header-loop sets a header of the request, reads it and takes it away again, twenty times over. It is there to be
// measured.
package main

import (
	"github.com/higress-group/proxy-wasm-go-sdk/proxywasm"
	"github.com/higress-group/proxy-wasm-go-sdk/proxywasm/types"
	"github.com/higress-group/wasm-go/pkg/log"
	"github.com/higress-group/wasm-go/pkg/wrapper"
)

const (
	rounds = 20
	name   = "x-header-loop"
	value  = "there and back"
)

// The host never calls main; everything is set up when the module is initialised.
func main() {}

type nothing struct{}

func init() {
	wrapper.SetCtx(
		"header-loop",
		wrapper.ProcessRequestHeaders(onRequestHeaders),
		wrapper.ProcessResponseHeaders(onResponseHeaders),
	)
}

func onRequestHeaders(_ wrapper.HttpContext, _ nothing) types.Action {
	for range rounds {
		if err := loop(); err != nil {
			log.Errorf("the loop was broken: %v", err)
		}
	}
	return types.HeaderContinue
}

func loop() error {
	if err := proxywasm.ReplaceHttpRequestHeader(name, value); err != nil {
		return err
	}
	found, err := proxywasm.GetHttpRequestHeader(name)
	if err != nil {
		return err
	}
	if found != value {
		log.Errorf("the header reads %s", found)
	}
	return proxywasm.RemoveHttpRequestHeader(name)
}

func onResponseHeaders(_ wrapper.HttpContext, _ nothing) types.Action {
	if err := proxywasm.ReplaceHttpResponseHeader("x-header-loop-version", "go"); err != nil {
		log.Errorf("the response could not be marked: %v", err)
	}
	return types.HeaderContinue
}

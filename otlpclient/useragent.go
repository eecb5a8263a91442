package otlpclient

import (
	"errors"
	"runtime/debug"
	"strings"
	"sync"

	"github.com/penstock-telemetry/penstock/config"
)

// module is this module's path, by which it finds its version in the program.
const module = "github.com/penstock-telemetry/penstock"

var errInvalidSignal = errors.New("the request has no valid signal")

// Version returns this module's version in the running program.
var Version = sync.OnceValue(func() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, m := range append(info.Deps, &info.Main) {
		if m.Path == module {
			return strings.Trim(strings.TrimPrefix(m.Version, "v"), "()")
		}
	}
	return "unknown"
})

// userAgent is who the client says it is.
func userAgent(h config.Headers) string {
	if own := h.Get("user-agent"); own != "" {
		return own
	}
	return "penstock/" + Version()
}

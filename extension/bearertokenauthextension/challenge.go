package bearertokenauthextension

import "strings"

// Challenge implements pipeline.Challenger.
func (e *Extension) Challenge() string {
	if e.cfg.Scheme == "" || !strings.EqualFold(e.cfg.Header, "authorization") {
		return "" // WWW-Authenticate is about the header Authorization and has a scheme
	}
	return e.cfg.Scheme + ` realm="OTLP"`
}

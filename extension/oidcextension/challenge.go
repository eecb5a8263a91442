package oidcextension

import "strings"

// Challenge implements pipeline.Challenger.
func (e *Extension) Challenge() string {
	if !strings.EqualFold(e.attribute, "authorization") {
		return "" // WWW-Authenticate is about the header Authorization
	}
	return `Bearer realm="OTLP"`
}

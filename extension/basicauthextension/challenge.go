package basicauthextension

// Challenge implements pipeline.Challenger.
func (*Extension) Challenge() string { return `Basic realm="OTLP"` }

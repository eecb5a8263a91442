//go:build !unix

package otlpreceiver

// defaultMaxConnections is for systems that limit handles by memory alone.
func defaultMaxConnections() int { return 16 << 10 }

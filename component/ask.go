package component

// These are the methods by which a configuration tells the service more than its
// values. All are optional, and called on what Descriptor.DefaultConfig returned,
// after decoding.
type (
	// Warner tells what is suspicious but not wrong.
	Warner interface{ Warnings() []string }

	// Needer names the extensions that the component looks up by
	// Settings.Extension, so that one that is not there, not enabled or of another
	// role is an error when the configuration is loaded, at its line.
	Needer interface{ Needs() []Need }

	// Listener tells the addresses that the component will listen on, so that two
	// that collide are an error when the configuration is loaded.
	Listener interface{ Listens() []Listen }

	// Writer tells the files that the component will be the only writer of.
	Writer interface{ Writes() []File }

	// MemoryLimiter bounds the memory of the process.
	MemoryLimiter interface {
		// Relative says whether the limits are a percentage of what the process may
		// use, and Percentage which.
		Relative() bool
		Percentage() uint32
		// Limits returns the limit and the soft limit below it, in bytes. available
		// is what the process may use; it counts only if Relative.
		Limits(available int64) (hard, soft int64)
	}
)

// A Listen is an address that a configuration asks for.
type Listen struct {
	// Key is where the address stands, or by default would stand, below the
	// component's section: "protocols.grpc.endpoint".
	Key string
	// Transport is tcp, tcp4, tcp6 or unix; empty is tcp.
	Transport string
	// Address is host:port, or the path of a socket.
	Address string
}

// A File is a file that a component writes.
type File struct {
	// Key is where the path stands below the component's section.
	Key  string
	Path string
}

package component

// Optional methods of a configuration. The service calls them on the value that
// Descriptor.DefaultConfig returned, after decoding.
type (
	// Warner returns warnings about settings that are valid but suspicious.
	Warner interface{ Warnings() []string }

	// Needer returns the extensions that the component looks up with
	// Settings.Extension. One that is undefined, not enabled or of another role is
	// an error with its position when the configuration is loaded.
	Needer interface{ Needs() []Need }

	// PipelineNamer returns the pipelines that a connector's configuration names. One that
	// is undefined, or does not read the connector, is an error with its position when
	// the configuration is loaded.
	PipelineNamer interface{ NamesPipelines() []PipelineName }

	// Provider returns what an extension provides to other components, for one that has
	// several roles, or whose role depends on its configuration. It replaces
	// Descriptor.Role.
	Provider interface{ Provides() []Role }

	// Listener returns the addresses that the component will listen on.
	// Conflicting addresses are an error when the configuration is loaded.
	Listener interface{ Listens() []Listen }

	// Writer returns the files that only this component may write.
	Writer interface{ Writes() []File }

	// Exclusive reports whether an instance with another configuration must not be started
	// before the one with the same id that it replaces was shut down.
	Exclusive interface{ Exclusive() bool }

	// MemoryLimiter limits the memory of the process.
	MemoryLimiter interface {
		// Relative reports whether the limits are a percentage of the available
		// memory; Percentage returns it.
		Relative() bool
		Percentage() uint32
		// Limits returns the limit and the soft limit below it, in bytes. available
		// is the memory that the process may use; it is used only if Relative.
		Limits(available int64) (hard, soft int64)
	}
)

// A Listen is an address that a configuration asks to listen on.
type Listen struct {
	// Key is the key of the address, even if it is not written, relative to the
	// component's section: "protocols.grpc.endpoint".
	Key string
	// Transport is tcp, tcp4, tcp6 or unix; empty means tcp.
	Transport string
	// Address is host:port, or the path of a socket.
	Address string
}

// A PipelineName is the id of a pipeline in a configuration.
type PipelineName struct {
	// Key is the key of the id relative to the component's section: "table[0].pipelines[1]".
	Key string
	ID  string
}

// A File is a file that a component writes.
type File struct {
	// Key is the key of the path relative to the component's section.
	Key  string
	Path string
}

package component

// A Storage is an extension that names a directory for durable state, such as the queue
// of an exporter. It has the role RoleStorage. The directory exists and can be written
// when the extension has started; its user creates the files.
type Storage interface {
	Directory() string
	// MaxBytes bounds the files in the directory; 0 means the default of its user.
	MaxBytes() int64
}

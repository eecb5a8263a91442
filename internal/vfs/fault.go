package vfs

import "fmt"

// Kind is a kind of operation on a Mem.
type Kind uint8

// The kinds of operations.
const (
	OpCreate Kind = iota
	OpOpen
	OpRead
	OpWrite
	OpPreallocate
	OpTruncate
	OpSync
	OpSize
	OpRename
	OpRemove
	OpMkdir
	OpList
	OpSyncDir
	OpLock
	OpSpace
)

var kindNames = [...]string{"create", "open", "read", "write", "preallocate", "truncate", "sync", "size",
	"rename", "remove", "mkdir", "list", "sync the folder of", "lock", "free"}

func (k Kind) String() string { return kindNames[k] }

// Changes reports whether operations of the kind change what is seen or what is on the
// disk.
func (k Kind) Changes() bool {
	switch k {
	case OpOpen, OpRead, OpSize, OpList, OpLock, OpSpace:
		return false
	}
	return true
}

// Op is an operation.
type Op struct {
	Index  int64 // how many came before it
	Kind   Kind
	Name   string
	Offset int64 // of reads and writes; the size for Truncate
	Bytes  int
}

func (o Op) String() string {
	return fmt.Sprintf("operation %d: %s %s, %d bytes at %d", o.Index, o.Kind, o.Name, o.Bytes, o.Offset)
}

// Short is the fault of a write of which the first half is done.
type Short struct{ Err error }

func (s Short) Error() string { return "short write: " + s.Err.Error() }
func (s Short) Unwrap() error { return s.Err }

// Inject makes f decide before each operation whether it fails: with the error that f
// returns. f may also wait. It is called without a lock, by the goroutine of the
// operation.
//
// A Sync that fails leaves the content in doubt: it reads as it was written, and no
// later Sync writes it. A write that fails with Short is half done.
func (m *Mem) Inject(f func(Op) error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.inject = f
}

// After makes f be called after each operation, by its goroutine and without a lock.
func (m *Mem) After(f func(Op)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.after = f
}

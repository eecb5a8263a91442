package join

import (
	"unique"

	"github.com/penstock-telemetry/penstock/libpf"
)

// stack is a trace. Its frames and files are shared with other stacks.
type stack struct {
	frames []*frame
	// resolved is nil until it is asked for. It was given out, so it never
	// changes: what changed is another slice.
	resolved libpf.Frames
	epoch    uint64 // of resolved and complete
	complete bool
}

// frame is one frame of at least one stack.
type frame struct {
	key      frameKey
	users    int // places in stacks
	bytes    int // charged to the cache of stacks
	epoch    uint64
	resolved unique.Handle[libpf.Frame] // zero until it is asked for
	complete bool
	// What resolved was made from, now or earlier, evicted meanwhile or not:
	// reported is a symbol, and function one that names a function.
	reported, function bool
	givenUp            bool // nobody waits for more
}

type frameKey struct {
	file    *file
	address libpf.AddressOrLineno
	typ     libpf.FrameType
}

// file is what at least one frame lies in, for frames of one kind.
type file struct {
	key     fileKey
	users   int // frames
	bytes   int // charged to the cache of stacks
	epoch   uint64
	mapping unique.Handle[libpf.Mapping] // zero is none
	named   bool                         // by an Executable, now or earlier
}

type fileKey struct {
	id   libpf.FileID
	kind kind
}

// kind is what a frame's type means for what is reported about it.
type kind uint8

const (
	interpreted kind = iota
	native
	kernel
	abort
)

func kindOf(t libpf.FrameType) kind {
	const errorBit = 0x80
	switch {
	case t == libpf.AbortFrame:
		return abort
	case t&^errorBit == libpf.KernelFrame:
		return kernel
	case t&^errorBit == libpf.GoFrame, !t.IsInterpType():
		return native // Go's frames are reported with addresses in an executable
	}
	return interpreted
}

// What things take in memory, in bytes. An interned value takes more than itself: a
// weak pointer, the record that keeps it, and its part of the table. A test compares
// the sums with the heap.
const (
	slotBytes     = 8 + 8 // a frame in a stack: in frames and in resolved
	mapSlotsBytes = 4 * (24 + 8 + 1)
	internedBytes = 256
	frameBytes    = 64 + mapSlotsBytes + 128 + internedBytes // and a libpf.Frame
	fileBytes     = 64 + mapSlotsBytes + 112 + internedBytes // and a libpf.Mapping
)

// equal reports whether t has the frames of s.
func (s *stack) equal(t *libpf.Trace) bool {
	if len(s.frames) != len(t.Files) {
		return false
	}
	for i, f := range s.frames {
		if f.key.file.key.id != t.Files[i] || f.key.address != t.Linenos[i] || f.key.typ != t.FrameTypes[i] {
			return false
		}
	}
	return true
}

// acquire makes a stack and those of its frames and files that are new.
func (j *Join) acquire(t *libpf.Trace) stack {
	frames := make([]*frame, len(t.Files))
	for i, id := range t.Files {
		inFile := fileKey{id, kindOf(t.FrameTypes[i])}
		x := j.files[inFile]
		if x == nil {
			x = &file{key: inFile, bytes: fileBytes}
			j.files[inFile] = x
			j.stacks.charge(x.bytes)
		}
		key := frameKey{x, t.Linenos[i], t.FrameTypes[i]}
		f := j.frames[key]
		if f == nil {
			f = &frame{key: key, bytes: frameBytes}
			j.frames[key] = f
			j.stacks.charge(f.bytes)
			x.users++
		}
		f.users++
		frames[i] = f
	}
	return stack{frames: frames}
}

// release undoes acquire when a stack leaves.
func (j *Join) release(s *stack) {
	for _, f := range s.frames {
		if f.users--; f.users > 0 {
			continue
		}
		delete(j.frames, f.key)
		j.stacks.charge(-f.bytes)
		x := f.key.file
		if x.users--; x.users == 0 {
			delete(j.files, x.key)
			j.stacks.charge(-x.bytes)
		}
	}
}

// fit makes room after a stack came, or its names grew. It goes itself if it would
// not fit alone.
func (j *Join) fit(e *entry[libpf.TraceHash, stack]) {
	switch {
	case j.stacks.bytes <= j.stacks.maxBytes:
	case alone(e) > j.stacks.maxBytes:
		j.stacks.evict(e)
	default:
		j.stacks.makeRoom(e)
	}
}

// alone returns the bytes of a stack that shares nothing with others.
func alone(e *entry[libpf.TraceHash, stack]) int {
	bytes := e.bytes
	frames, files := map[*frame]bool{}, map[*file]bool{}
	for _, f := range e.value.frames {
		if !frames[f] {
			frames[f] = true
			bytes += f.bytes
		}
		if x := f.key.file; !files[x] {
			files[x] = true
			bytes += x.bytes
		}
	}
	return bytes
}

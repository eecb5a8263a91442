package join

import (
	"slices"
	"unique"

	"github.com/penstock-telemetry/penstock/libpf"
)

// Resolve returns the stack with this hash as far as it is known: nil and false if it
// is not. The frames are shared, and must not be changed; they never are by Join.
//
// complete is false as long as something may still come: the symbol of an
// interpreted or kernel frame, or the name of the executable of a native or kernel
// frame. It may never come, so a caller that waits for it needs a limit, and calls
// GiveUp when that is reached.
//
// What became of a frame depends on its type:
//
//	abort        the type
//	native       mapping, address; and names, if any are known. Go and unknown too
//	kernel       the same, in a mapping "vmlinux" if it has no other name
//	interpreted  names and lines; mapping and address as long as there are no names,
//	             so that two unknown frames stay two
func (j *Join) Resolve(h libpf.TraceHash) (frames libpf.Frames, complete bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	e := j.stacks.get(h)
	if e == nil {
		return nil, false
	}
	if e.value.epoch != j.epoch {
		j.resolveStack(&e.value)
		j.fit(e)
	}
	return e.value.resolved, e.value.complete
}

// GiveUp says that the stack with this hash was waited for long enough: it counts as
// complete from now on, and so does every other stack that lacked only what its
// frames lack. What comes late is taken all the same.
func (j *Join) GiveUp(h libpf.TraceHash) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if e := j.stacks.get(h); e != nil {
		e.value.complete = true
		for _, f := range e.value.frames {
			f.givenUp = true
		}
	}
}

func (j *Join) resolveStack(s *stack) {
	out, ours := s.resolved, false
	if out == nil {
		out, ours = make(libpf.Frames, len(s.frames)), true
	}
	s.complete = true
	for i, f := range s.frames {
		if f.epoch != j.epoch {
			j.resolveFrame(f)
		}
		s.complete = s.complete && (f.complete || f.givenUp)
		if !ours && out[i] != f.resolved {
			out, ours = slices.Clone(out), true
		}
		if ours {
			out[i] = f.resolved
		}
	}
	s.resolved, s.epoch = out, j.epoch
}

// resolveFrame looks up what is known of a frame now. What is not known any more
// stays as it was.
func (j *Join) resolveFrame(f *frame) {
	var known libpf.Frame
	if f.epoch > 0 {
		known = f.resolved.Value()
	}
	now := libpf.Frame{Type: f.key.typ}
	x := f.key.file
	k := x.key.kind
	if k != abort {
		j.describe(f, &now, &known)
	}
	byNames := k == interpreted && f.reported && (now.FunctionName != "" || now.SourceFile != "")
	if k != abort && !byNames {
		if x.epoch != j.epoch {
			j.resolveFile(x)
		}
		now.Mapping, now.Address = x.mapping, f.key.address
	}

	hasSymbol := k == native || f.reported || now.FunctionName != ""
	hasFile := k == interpreted || x.named
	f.complete = k == abort || hasSymbol && hasFile
	if f.epoch == 0 || now != known {
		f.resolved = unique.Make(now)
		bytes := frameBytes + stringBytes(now.FunctionName, now.SourceFile)
		j.stacks.charge(bytes - f.bytes)
		f.bytes = bytes
	}
	f.epoch = j.epoch
}

// describe fills in the names and lines of a frame: from its symbol, or else as they
// were. The name of a fallback symbol is taken where no symbol ever had one.
func (j *Join) describe(f *frame, now, known *libpf.Frame) {
	now.FunctionName, now.SourceFile = known.FunctionName, known.SourceFile
	now.StartLine, now.SourceLine = known.StartLine, known.SourceLine
	id := libpf.NewFrameID(f.key.file.key.id, f.key.address)
	if e := j.symbols.get(id); e != nil {
		s := &e.value
		f.reported = true
		if s.function != "" {
			now.FunctionName, f.function = s.function, true
		}
		if s.file != "" {
			now.SourceFile = s.file
		}
		now.SourceLine, now.StartLine = s.line, 0
		if offset := libpf.SourceLineno(s.functionOffset); offset > 0 && offset < s.line {
			now.StartLine = s.line - offset
		}
	}
	if f.function {
		return
	}
	if e := j.fallbacks.get(id); e != nil {
		now.FunctionName = e.value
	}
}

// resolveFile does for a file what resolveFrame does for a frame.
func (j *Join) resolveFile(x *file) {
	m := libpf.Mapping{FileID: x.key.id}
	if x.mapping != (unique.Handle[libpf.Mapping]{}) {
		m = x.mapping.Value()
	}
	known := m
	// Frames of interpreters are identified by what they run, not by a mapped file.
	if x.key.kind != interpreted {
		if e := j.executables.get(x.key.id); e != nil {
			if e.value.fileName != "" {
				m.FileName, x.named = e.value.fileName, true
			}
			if e.value.buildID != "" {
				m.GNUBuildID = e.value.buildID
			}
		}
		if x.key.kind == kernel && m.FileName == "" {
			m.FileName = "vmlinux"
		}
	}
	// A mapping without any known field is not written.
	if m != (libpf.Mapping{}) && (x.epoch == 0 || m != known) {
		x.mapping = unique.Make(m)
		bytes := fileBytes + stringBytes(m.FileName, m.GNUBuildID)
		j.stacks.charge(bytes - x.bytes)
		x.bytes = bytes
	}
	x.epoch = j.epoch
}

// Has reports whether the frames of a stack are known. It counts as use.
func (j *Join) Has(h libpf.TraceHash) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.stacks.get(h) != nil
}

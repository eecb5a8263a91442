package loadgen

import (
	"encoding/hex"
	"fmt"
	"hash/fnv"

	"github.com/penstock-telemetry/penstock/otlp"
)

const (
	minStackFrames = 5
	maxStackFrames = 40
	// programFunctions is the number of functions of a program that occur in stacks.
	programFunctions = 300
)

// program is a process whose stacks are sampled, with its entries in the dictionary.
type program struct {
	a           *author
	d           *dictionary
	name        string
	interpreted bool
	own, kernel image
	frames      map[frame]int32 // the locations so far
}

// frame is a call in a stack.
type frame struct {
	function int
	inKernel bool
}

// image is a mapped executable. The location of function i is at start + 64 i.
type image struct {
	mapping int32
	start   uint64
	frame   string // profile.frame.type
}

// interpreters are the languages whose frames have no address.
var interpreters = map[string]string{"python": "cpython", "nodejs": "v8js", "ruby": "ruby"}

const functionBytes = 64

func (a *author) program(d *dictionary, s service) *program {
	p := &program{a: a, d: d, name: s.name, frames: map[frame]int32{}}
	p.own.frame = "native"
	if s.language == "go" {
		p.own.frame = "go"
	}
	if frame, ok := interpreters[s.language]; ok {
		p.own.frame, p.interpreted = frame, true
	}
	p.own.start = 0x400000
	p.kernel = image{start: 0xffffffff81000000, frame: "kernel"}
	return p
}

// mapped returns the mapping of b, and adds it at the first use.
func (p *program) mapped(b *image, file string) {
	if b.mapping != 0 {
		return
	}
	name := p.d.strings.add(file)
	buildID := p.d.attribute("process.executable.build_id.htlhash", buildID(file))
	b.mapping = p.d.entry(p.d.mappings, func(e *otlp.Encoder) {
		m := otlp.AppendMapping(e)
		m.SetMemoryStart(b.start)
		m.SetMemoryLimit(b.start + programFunctions*functionBytes)
		m.SetFilenameStrindex(name)
		m.AddAttributeIndices(buildID)
	})
}

// buildID depends only on the file.
func buildID(file string) string {
	h := fnv.New128a()
	_, _ = h.Write([]byte(file)) // it never returns an error
	return hex.EncodeToString(h.Sum(nil))
}

// stack adds a random stack, leaf first. Calls form a tree with few branches, so that
// stacks share callers, like real ones.
func (p *program) stack() int32 {
	depth := minStackFrames + p.a.IntN(maxStackFrames-minStackFrames+1)
	inKernel := 0
	if p.a.oneIn(5) {
		inKernel = 1 + p.a.IntN(3)
	}
	frames := make([]int32, depth)
	call := 1
	for i := depth - 1; i >= 0; i-- {
		call = (call*7 + p.a.IntN(3)) % programFunctions
		frames[i] = p.frame(frame{call, i < inKernel})
	}
	return p.d.stack(frames)
}

// frame returns the location of f.
func (p *program) frame(f frame) int32 {
	i, ok := p.frames[f]
	if ok {
		return i
	}
	switch {
	case f.inKernel:
		i = p.kernelFrame(f.function)
	case p.interpreted:
		i = p.interpretedFrame(f.function)
	default:
		i = p.nativeFrame(f.function)
	}
	p.frames[f] = i
	return i
}

func (p *program) kernelFrame(call int) int32 {
	p.mapped(&p.kernel, "[kernel.kallsyms]")
	return p.location(p.kernel, call, p.function(kernelFunctions[call%len(kernelFunctions)], "", 0))
}

func (p *program) nativeFrame(call int) int32 {
	p.mapped(&p.own, "/usr/bin/"+p.name)
	if p.own.frame == "native" { // symbolized later, with the build id
		return p.location(p.own, call)
	}
	own := p.function(p.functionName(call), p.fileName(call), int64(call*10))
	if call%8 == 0 { // the others are inlined into the last line
		return p.location(p.own, call, p.function(p.functionName(call)+".inlined", p.fileName(call), int64(call*10+3)), own)
	}
	return p.location(p.own, call, own)
}

func (p *program) interpretedFrame(call int) int32 {
	return p.location(image{frame: p.own.frame}, call, p.function(p.functionName(call), p.fileName(call), int64(call*10)))
}

func (p *program) functionName(call int) string {
	return fmt.Sprintf("%s.%s%d", p.name, functions[call%len(functions)], call)
}

func (p *program) fileName(call int) string {
	return "/src/" + p.name + "/" + files[call%len(files)]
}

func (p *program) function(name, file string, startLine int64) int32 {
	n, f := p.d.strings.add(name), p.d.strings.add(file)
	return p.d.entry(p.d.functions, func(e *otlp.Encoder) {
		b := otlp.AppendFunction(e)
		b.SetNameStrindex(n)
		b.SetFilenameStrindex(f)
		b.SetStartLine(startLine)
	})
}

// location adds a position in the function with number call: an address in b if it is
// mapped, and the lines of the functions there.
func (p *program) location(b image, call int, lines ...int32) int32 {
	frame := p.d.attribute("profile.frame.type", b.frame)
	return p.d.entry(p.d.locations, func(e *otlp.Encoder) {
		l := otlp.AppendLocation(e)
		if b.mapping != 0 {
			l.SetMappingIndex(b.mapping)
			l.SetAddress(b.start + uint64(call*functionBytes) + 8)
		}
		for _, f := range lines {
			line := l.AddLines()
			line.SetFunctionIndex(f)
			line.SetLine(int64(call*10 + 5))
			line.Close()
		}
		l.AddAttributeIndices(frame)
	})
}

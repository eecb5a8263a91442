package libpf

// Trace is a stack, leaf first, in columns: Files[i], Linenos[i] and FrameTypes[i]
// describe frame i.
type Trace struct {
	Files      []FileID
	Linenos    []AddressOrLineno
	FrameTypes []FrameType
	// Hash identifies the stack. HashTrace computes it; AppendFrame does not change it.
	Hash TraceHash
}

// AppendFrame appends a frame, the caller of the last one.
func (trace *Trace) AppendFrame(frameType FrameType, file FileID, addressOrLine AddressOrLineno) {
	trace.FrameTypes = append(trace.FrameTypes, frameType)
	trace.Files = append(trace.Files, file)
	trace.Linenos = append(trace.Linenos, addressOrLine)
}

// TraceAndCounts is the number of times that a stack was sampled in a second, and where.
type TraceAndCounts struct {
	Hash      TraceHash
	Timestamp UnixTime32
	Count     uint16
	// Comm is the name of the thread.
	Comm string
	// PodName and ContainerName are empty outside Kubernetes.
	PodName, ContainerName string
}

// FrameMetadata is the function, file and line of a frame of an interpreter.
type FrameMetadata struct {
	FileID        FileID
	AddressOrLine AddressOrLineno
	LineNumber    SourceLineno
	// FunctionOffset is LineNumber minus the first line of the function.
	FunctionOffset uint32
	FunctionName   string
	Filename       string
}

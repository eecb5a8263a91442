package libpf

// Trace is a stack, leaf first, in columns: Files[i], Linenos[i] and
// FrameTypes[i] are frame i.
type Trace struct {
	Files      []FileID
	Linenos    []AddressOrLineno
	FrameTypes []FrameType
	// Hash identifies the stack. HashTrace makes it; AppendFrame leaves it alone.
	Hash TraceHash
}

// AppendFrame appends a frame: the caller of the last one.
func (trace *Trace) AppendFrame(frameType FrameType, file FileID, addressOrLine AddressOrLineno) {
	trace.FrameTypes = append(trace.FrameTypes, frameType)
	trace.Files = append(trace.Files, file)
	trace.Linenos = append(trace.Linenos, addressOrLine)
}

// TraceAndCounts says that a stack was seen Count times around a second, and
// where.
type TraceAndCounts struct {
	Hash      TraceHash
	Timestamp UnixTime32
	Count     uint16
	// Comm is the thread's name.
	Comm string
	// PodName and ContainerName are empty outside Kubernetes.
	PodName, ContainerName string
}

// FrameMetadata says what a frame of an interpreter stands for.
type FrameMetadata struct {
	FileID        FileID
	AddressOrLine AddressOrLineno
	LineNumber    SourceLineno
	// FunctionOffset is how many lines LineNumber is behind the function's first.
	FunctionOffset uint32
	FunctionName   string
	Filename       string
}

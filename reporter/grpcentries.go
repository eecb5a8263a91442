package reporter

import (
	"strings"
	"unicode/utf8"

	"github.com/penstock-telemetry/penstock/libpf"
	collectionagentv1 "github.com/penstock-telemetry/penstock/reporter/collectionagent/v1"
)

// What the documented API has no type for.
type (
	executableEntry struct {
		file              libpf.FileID
		fileName, buildID string
	}
	symbolEntry struct {
		frame  libpf.FrameID
		symbol string
	}
	metricsEntry struct {
		timestamp uint32
		ids       []uint32
		values    []int64
	}
)

// The functions below turn entries into messages when they are sent.

func wireTrace(t libpf.Trace) *collectionagentv1.TraceFrames {
	m := &collectionagentv1.TraceFrames{Hash: t.Hash.Bytes()}
	for _, f := range t.Files {
		m.FileIds = append(m.FileIds, f.Bytes()...)
	}
	for _, a := range t.Linenos {
		m.Addresses = append(m.Addresses, uint64(a))
	}
	for _, f := range t.FrameTypes {
		m.Types = append(m.Types, uint32(f))
	}
	return m
}

func wireCount(c libpf.TraceAndCounts) *collectionagentv1.TraceCount {
	return &collectionagentv1.TraceCount{
		TraceHash: c.Hash.Bytes(), Timestamp: uint32(c.Timestamp), Count: uint32(c.Count),
		Comm: wireText(c.Comm), PodName: wireText(c.PodName), ContainerName: wireText(c.ContainerName),
	}
}

func wireFrame(f libpf.FrameMetadata) *collectionagentv1.FrameMetadata {
	return &collectionagentv1.FrameMetadata{
		FileId: f.FileID.Bytes(), AddressOrLine: uint64(f.AddressOrLine), LineNumber: uint64(f.LineNumber),
		FunctionOffset: f.FunctionOffset, FunctionName: wireText(f.FunctionName), FilePath: wireText(f.Filename),
	}
}

func wireExecutable(e executableEntry) *collectionagentv1.ExecutableMetadata {
	return &collectionagentv1.ExecutableMetadata{FileId: e.file.Bytes(), FileName: wireText(e.fileName), BuildId: wireText(e.buildID)}
}

func wireSymbol(s symbolEntry) *collectionagentv1.FallbackSymbol {
	return &collectionagentv1.FallbackSymbol{
		FileId: s.frame.FileID().Bytes(), AddressOrLine: uint64(s.frame.AddressOrLine()), Symbol: wireText(s.symbol),
	}
}

func wireHost(h HostMetadata) *collectionagentv1.HostMetadata {
	m := &collectionagentv1.HostMetadata{Timestamp: h.Timestamp, Metadata: make(map[string]string, len(h.Metadata))}
	for k, v := range h.Metadata {
		if k == "" {
			continue // no key at all
		}
		m.Metadata[wireText(k)] = wireText(v)
	}
	return m
}

func wireMetrics(e metricsEntry) *collectionagentv1.MetricValues {
	n := min(len(e.ids), len(e.values))
	return &collectionagentv1.MetricValues{Timestamp: e.timestamp, Ids: e.ids[:n], Values: e.values[:n]}
}

// wireText makes s fit for a protobuf string of the protocol's length: what is
// not UTF-8 becomes U+FFFD, and what is too long is cut between two runes.
func wireText(s string) string {
	if !utf8.ValidString(s) {
		s = strings.ToValidUTF8(s, "\uFFFD")
	}
	if len(s) <= collectionagentv1.MaxTextBytes {
		return s
	}
	cut := collectionagentv1.MaxTextBytes
	for !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut]
}

package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
	"unique"

	"go.opentelemetry.io/collector/consumer/xconsumer"
	"go.opentelemetry.io/collector/pdata/pprofile"
	"go.opentelemetry.io/collector/pdata/pprofile/pprofileotlp"
	peerpf "go.opentelemetry.io/ebpf-profiler/libpf"
	peerreporter "go.opentelemetry.io/ebpf-profiler/reporter"
	peersamples "go.opentelemetry.io/ebpf-profiler/reporter/samples"

	"github.com/penstock-telemetry/penstock/libpf"
	"github.com/penstock-telemetry/penstock/pipeline"
	"github.com/penstock-telemetry/penstock/reporter"
	"github.com/penstock-telemetry/penstock/reporter/samples"
)

// subject is a reporter that is measured.
type subject interface {
	// event reports one sample of a stack.
	event(stack int, time uint64) error
	// flush encodes all reported samples, and waits for the requests.
	flush() error
	// requests returns the requests so far.
	requests() *requests
}

// requests counts requests, and keeps their bytes if keep is set.
type requests struct {
	keep  bool
	mu    sync.Mutex
	n     int
	bytes int
	all   [][]byte
}

func (r *requests) add(b []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.n++
	r.bytes += len(b)
	if r.keep {
		r.all = append(r.all, b)
	}
}

const (
	ours = "ours"
	peer = "peer"
)

const samplesPerSecond = 20

// unbounded is the size of windows that only flush ends.
const unbounded = 16 << 30

func newSubject(who string, w *workload, cfg reporter.OTLPConfig) (subject, error) {
	if who == peer {
		return newPeer(w)
	}
	return newOurs(w, cfg)
}

// ourSubject is this module's reporter.
type ourSubject struct {
	r      *reporter.OTLPReporter
	out    requests
	stacks []samples.Trace
	metas  []samples.TraceEventMeta // by stack
}

// oneRequest is a configuration in which everything becomes one request.
func oneRequest() reporter.OTLPConfig {
	return reporter.OTLPConfig{MaxRequestBytes: 256 << 20, MaxWindowBytes: unbounded, MaxPendingBytes: 256 << 20, ReportInterval: time.Hour}
}

func newOurs(w *workload, cfg reporter.OTLPConfig) (*ourSubject, error) {
	s := &ourSubject{}
	cfg.Consumer = &s.out
	cfg.SamplesPerSecond, cfg.StopTimeout = samplesPerSecond, time.Minute
	var err error
	if s.r, err = reporter.NewOTLP(cfg); err != nil {
		return nil, err
	}
	mappings := make([]unique.Handle[libpf.Mapping], len(w.mappings))
	for i, m := range w.mappings {
		mappings[i] = unique.Make(libpf.Mapping{FileName: m.file, FileID: libpf.NewFileID(m.id, m.id), Start: m.start, Limit: m.limit})
	}
	frames := make(libpf.Frames, len(w.frames))
	for i, f := range w.frames {
		frames[i] = unique.Make(libpf.Frame{Type: libpf.GoFrame, Mapping: mappings[f.mapping], Address: libpf.AddressOrLineno(f.address),
			FunctionName: f.function, SourceFile: f.file, SourceLine: libpf.SourceLineno(f.line)})
	}
	origin := samples.CPU(samplesPerSecond)
	for i, stack := range w.stacks {
		t := samples.Trace{Frames: make(libpf.Frames, len(stack))}
		for j, f := range stack {
			t.Frames[j] = frames[f]
		}
		m := w.metas[w.metaOf[i]]
		s.stacks = append(s.stacks, t)
		s.metas = append(s.metas, samples.TraceEventMeta{Origin: origin, Comm: m.comm, TID: m.tid, CPU: m.cpu, PID: m.pid,
			ExecutablePath: m.path, ContainerID: m.container})
	}
	return s, s.r.Start(context.Background())
}

func (s *ourSubject) event(stack int, time uint64) error {
	m := s.metas[stack]
	m.Timestamp = int64(time)
	return s.r.ReportTraceEvent(&s.stacks[stack], &m)
}

// flush stops the reporter, since Flush would not wait.
func (s *ourSubject) flush() error {
	if err := s.r.Shutdown(context.Background()); err != nil {
		return err
	}
	f := s.r.Stats().Samples
	if f.Acknowledged != f.Reported {
		return fmt.Errorf("%d of %d events arrived: %v", f.Acknowledged, f.Reported, f.Dropped)
	}
	return nil
}

func (s *ourSubject) requests() *requests { return &s.out }

func (r *requests) Capabilities() pipeline.Capabilities { return pipeline.Capabilities{} }

func (r *requests) Consume(_ context.Context, b *pipeline.Batch) error {
	r.add(b.Bytes()) // the bytes are not pooled, so they may be kept
	return nil
}

// peerSubject is the reporter of the eBPF profiler, as used in its Collector
// distribution.
type peerSubject struct {
	r      *peerreporter.CollectorReporter
	out    requests
	done   chan error
	stacks []peerpf.Trace
	metas  []peersamples.TraceEventMeta
}

// peerInterval is the delay before its first report. The peer is started after
// all events have been reported.
const peerInterval = 10 * time.Millisecond

func newPeer(w *workload) (*peerSubject, error) {
	s := &peerSubject{done: make(chan error, 1)}
	consumer, err := xconsumer.NewProfiles(s.consume)
	if err != nil {
		return nil, err
	}
	s.r, err = peerreporter.NewCollector(&peerreporter.Config{Name: "penstock", SamplesPerSecond: samplesPerSecond, ReportInterval: peerInterval}, consumer)
	if err != nil {
		return nil, err
	}
	mappings := make([]peerpf.FrameMapping, len(w.mappings))
	for i, m := range w.mappings {
		mappings[i] = peerpf.NewFrameMapping(peerpf.FrameMappingData{Start: peerpf.Address(m.start), End: peerpf.Address(m.limit),
			File: peerpf.NewFrameMappingFile(peerpf.FrameMappingFileData{FileName: peerpf.Intern(m.file), FileID: peerpf.NewFileID(m.id, m.id)})})
	}
	frames := make(peerpf.Frames, 0, len(w.frames))
	for _, f := range w.frames {
		frames.Append(&peerpf.Frame{Type: peerpf.GoFrame, Mapping: mappings[f.mapping], AddressOrLineno: peerpf.AddressOrLineno(f.address),
			FunctionName: peerpf.Intern(f.function), SourceFile: peerpf.Intern(f.file), SourceLine: peerpf.SourceLineno(f.line)})
	}
	kind := &peersamples.TypeMetadata{PeriodType: "cpu", PeriodUnit: "nanoseconds", SampleType: "samples", SampleUnit: "count"}
	for i, stack := range w.stacks {
		t := peerpf.Trace{Frames: make(peerpf.Frames, len(stack))}
		for j, f := range stack {
			t.Frames[j] = frames[f]
		}
		m := w.metas[w.metaOf[i]]
		s.stacks = append(s.stacks, t)
		s.metas = append(s.metas, peersamples.TraceEventMeta{ProfileType: kind, Value: 1, Comm: peerpf.NewCommFromString(m.comm), TID: peerpf.PID(m.tid),
			CPU: uint32(m.cpu), PID: peerpf.PID(m.pid), ExecutablePath: peerpf.Intern(m.path), ContainerID: peerpf.Intern(m.container)})
	}
	return s, nil
}

func (s *peerSubject) event(stack int, time uint64) error {
	m := s.metas[stack]
	m.Timestamp = peerpf.UnixTime64(time)
	return s.r.ReportTraceEvent(&s.stacks[stack], &m)
}

func (s *peerSubject) consume(_ context.Context, p pprofile.Profiles) error {
	b, err := pprofileotlp.NewExportRequestFromProfiles(p).MarshalProto()
	if err == nil {
		s.out.add(b)
	}
	s.done <- err
	return err
}

var errNoReport = errors.New("the peer did not report within a minute")

func (s *peerSubject) flush() error {
	if err := s.r.Start(context.Background()); err != nil {
		return err
	}
	defer s.r.Stop()
	select {
	case err := <-s.done:
		return err
	case <-time.After(time.Minute):
		return errNoReport
	}
}

func (s *peerSubject) requests() *requests { return &s.out }

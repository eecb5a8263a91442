package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"go.opentelemetry.io/collector/pdata/pprofile/pprofileotlp"
)

// forms has the same samples in requests of several encoders.
type forms struct {
	name string
	ours [][]byte
	// again is ours, decoded and encoded by pdata.
	again [][]byte
	peer  [][]byte
	// unshared has a request for each sample, each with its own dictionary. It is
	// compressed as one stream.
	unshared []byte
}

// sizes compares the sizes for 20,000 and a million synthetic events, and for
// real payloads.
func sizes(o options) ([]row, error) {
	var rows []row
	for _, n := range []struct{ events, stacks int }{{20_000, 5_000}, {1_000_000, 50_000}} {
		f, err := synthetic(max(1, n.events*o.scale/100), max(1, n.stacks*o.scale/100))
		if err != nil {
			return nil, err
		}
		rs, err := f.rows()
		if err != nil {
			return nil, err
		}
		rows = append(rows, rs...)
	}
	paths, err := payloadFiles(o.payloads)
	if err != nil {
		return nil, err
	}
	real, err := replayed(paths)
	if err != nil {
		return nil, err
	}
	rs, err := real.rows()
	return append(rows, rs...), err
}

// synthetic reports the workload to both.
func synthetic(events, stacks int) (f forms, err error) {
	f.name = fmt.Sprintf("%d events of %d stacks", events, stacks)
	w, at := newWorkload(stacks), times(events)
	for who, out := range map[string]*[][]byte{ours: &f.ours, peer: &f.peer} {
		s, err := newSubject(who, w, oneRequest())
		if err != nil {
			return f, err
		}
		s.requests().keep = true
		for i, t := range at {
			if err := s.event(i%stacks, t); err != nil {
				return f, err
			}
		}
		if err := s.flush(); err != nil {
			return f, err
		}
		*out = s.requests().all
	}
	return f, f.derive()
}

// payloadFiles returns the payloads to replay.
func payloadFiles(glob string) ([]string, error) {
	if glob == "" {
		root, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/penstock-telemetry/penstock").Output()
		if err != nil {
			return nil, fmt.Errorf("find the module's directory (run this in bench/): %w", err)
		}
		glob = filepath.Join(strings.TrimSpace(string(root)), "internal/test/testkit/testdata/profiles/*.binpb")
	}
	paths, err := filepath.Glob(glob)
	if err == nil && len(paths) == 0 {
		err = fmt.Errorf("no payloads match %q", glob)
	}
	return paths, err
}

// replayed reports the samples of real requests of the peer to our reporter.
func replayed(paths []string) (f forms, err error) {
	f.name = fmt.Sprintf("%d real payloads", len(paths))
	for _, p := range paths {
		b, err := os.ReadFile(p)
		if err != nil {
			return f, err
		}
		mine, err := replay(b)
		if err != nil {
			return f, fmt.Errorf("replay %s: %w", p, err)
		}
		f.ours, f.peer = append(f.ours, mine...), append(f.peer, b)
	}
	return f, f.derive()
}

// derive computes the other forms from ours.
func (f *forms) derive() error {
	for _, b := range f.ours {
		r := pprofileotlp.NewExportRequest()
		if err := r.UnmarshalProto(b); err != nil {
			return err
		}
		again, err := r.MarshalProto()
		if err != nil {
			return err
		}
		f.again = append(f.again, again)
		if f.unshared, err = appendUnshared(f.unshared, r.Profiles()); err != nil {
			return err
		}
	}
	return nil
}

// rows compares the sizes, plain and compressed.
func (f *forms) rows() ([]row, error) {
	var rows []row
	for _, how := range []string{"plain", "gzip", "zstd"} {
		mine, err := compressed(how, f.ours)
		if err != nil {
			return nil, err
		}
		for _, other := range []struct {
			note   string
			bytes  [][]byte
			target map[string]float64
		}{
			{"to the eBPF profiler's", f.peer, nil},
			{"to pdata's encoding of ours", f.again, map[string]float64{"plain": 1}},
			{"to a request for each sample", [][]byte{f.unshared}, map[string]float64{"zstd": 0.7}},
		} {
			n, err := compressed(how, other.bytes)
			if err != nil {
				return nil, err
			}
			name := "    "
			if len(rows) == 0 {
				name = f.name + ": "
			}
			rows = append(rows, row{Name: name + how, Unit: "kB", Ours: float64(mine) / 1e3, Peer: float64(n) / 1e3,
				Ratio: float64(mine) / float64(n), RatioTarget: other.target[how], Note: other.note})
		}
	}
	return rows, nil
}

// counter counts what is written to it.
type counter int

func (c *counter) Write(b []byte) (int, error) { *c += counter(len(b)); return len(b), nil }

// compressed returns the total size of the requests, each compressed
// separately.
func compressed(how string, requests [][]byte) (int, error) {
	var n counter
	for _, b := range requests {
		w, err := compressor(how, &n)
		if err != nil {
			return 0, err
		}
		if _, err := w.Write(b); err != nil {
			return 0, err
		}
		if err := w.Close(); err != nil {
			return 0, err
		}
	}
	return int(n), nil
}

type plain struct{ io.Writer }

func (plain) Close() error { return nil }

func compressor(how string, to io.Writer) (io.WriteCloser, error) {
	switch how {
	case "gzip":
		return gzip.NewWriter(to), nil
	case "zstd":
		return zstd.NewWriter(to, zstd.WithEncoderLevel(zstd.EncoderLevelFromZstd(3)), zstd.WithEncoderConcurrency(1))
	}
	return plain{to}, nil
}

package hostile

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/penstock-telemetry/penstock/otlp"
)

// Answer is the answer to a client.
type Answer struct {
	HTTP      int        // 0 over gRPC
	GRPC      codes.Code // over gRPC
	RetryHint bool       // Retry-After, or RetryInfo
}

func (a Answer) String() string {
	s := strconv.Itoa(a.HTTP)
	if a.HTTP == 0 {
		s = a.GRPC.String()
	}
	if a.RetryHint {
		s += " with a hint"
	}
	return s
}

// OK reports whether the request was accepted.
func (a Answer) OK() bool { return a.HTTP == http.StatusOK || a.HTTP == 0 && a.GRPC == codes.OK }

// TooLarge reports whether it was refused for good because of its size (OTLP
// specification, "413" and RESOURCE_EXHAUSTED without RetryInfo).
func (a Answer) TooLarge() bool {
	return a.HTTP == http.StatusRequestEntityTooLarge || a.HTTP == 0 && a.GRPC == codes.ResourceExhausted && !a.RetryHint
}

// Later reports whether it was refused for now, with a hint when to try again.
func (a Answer) Later() bool {
	switch {
	case !a.RetryHint:
		return false
	case a.HTTP == 0:
		return a.GRPC == codes.ResourceExhausted || a.GRPC == codes.Unavailable
	}
	return a.HTTP == http.StatusTooManyRequests || a.HTTP == http.StatusServiceUnavailable
}

// Refused reports whether it was not accepted, for whatever reason.
func (a Answer) Refused() bool { return !a.OK() }

func answerOf(s *status.Status) Answer {
	a := Answer{GRPC: s.Code()}
	for _, d := range s.Details() {
		if _, ok := d.(*errdetails.RetryInfo); ok {
			a.RetryHint = true
		}
	}
	return a
}

// Bomb is a small body that is large when decompressed.
type Bomb struct {
	Name     string
	Port     Port
	Encoding string
	Bytes    int    // decompressed
	Body     []byte // compressed, without gRPC's prefix
	// Signal is the signal of the request; 0 means logs.
	Signal otlp.Signal
}

// spec describes the signal.
func (b Bomb) spec() *otlp.Spec {
	if b.Signal == 0 {
		return otlp.Logs.Spec()
	}
	return b.Signal.Spec()
}

// Codecs returns the names of the codings that a port accepts.
func Codecs(p Port) []string {
	if p == GRPC {
		return []string{"gzip", "zstd", "snappy"}
	}
	return []string{"gzip", "zstd", "zlib", "deflate", "snappy", "x-snappy-framed", "lz4"}
}

// Lies returns small bodies that announce a large size, or are expensive for their
// size. None is a good request, except those that are empty.
func Lies(p Port) ([]Bomb, error) {
	oneByte := []byte{9, 0, 0, 'x'} // a zstd block: the last, raw, one byte (RFC 8878, 3.1.1.2)
	window := append([]byte{0x28, 0xb5, 0x2f, 0xfd, 0, 19 << 3}, oneByte...)
	size := append(append([]byte{0x28, 0xb5, 0x2f, 0xfd, 0xe0}, binary.LittleEndian.AppendUint64(nil, 4<<30)...), oneByte...)
	empty, err := Compress(p, "gzip", nil)
	lies := []Bomb{
		{Name: "zstd window of 512 MiB", Port: p, Encoding: "zstd", Bytes: 512 << 20, Body: window},
		{Name: "zstd content of 4 GiB", Port: p, Encoding: "zstd", Bytes: 4 << 30, Body: size},
		{Name: "150,000 empty gzip members", Port: p, Encoding: "gzip", Body: bytes.Repeat(empty, 150_000)},
	}
	if p == HTTP {
		var framed bytes.Buffer
		w := lz4.NewWriter(&framed)
		err = errors.Join(err, w.Apply(lz4.SizeOption(1<<40), lz4.BlockSizeOption(lz4.Block4Mb)))
		_, _ = w.Write(make([]byte, 10)) // a bytes.Buffer never fails
		err = errors.Join(err, w.Flush())
		lies = append(lies,
			Bomb{Name: "snappy block of 4 GiB", Port: p, Encoding: "snappy", Bytes: 4 << 30, Body: append(binary.AppendUvarint(nil, 1<<32-1), "0123456789"...)},
			Bomb{Name: "lz4 content of 1 TiB", Port: p, Encoding: "lz4", Bytes: 1 << 40, Body: framed.Bytes()})
	}
	return lies, err
}

// NewBomb compresses a request of n bytes without items.
func NewBomb(p Port, encoding string, n int) (Bomb, error) {
	body, err := Compress(p, encoding, padding(n))
	return Bomb{Name: encoding, Port: p, Encoding: encoding, Bytes: n, Body: body}, err
}

// Compress compresses b as the port's clients do: "snappy" is a block over HTTP and
// a framed stream over gRPC, as in the Collector.
func Compress(p Port, encoding string, b []byte) ([]byte, error) {
	var out bytes.Buffer
	var w io.WriteCloser
	switch encoding {
	case "":
		return b, nil
	case "gzip":
		w = gzip.NewWriter(&out)
	case "zlib", "deflate":
		w = zlib.NewWriter(&out)
	case "lz4":
		w = lz4.NewWriter(&out)
	case "zstd":
		// A window that servers accept (RFC 9659 allows 8 MiB).
		z, err := zstd.NewWriter(&out, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(1<<20))
		if err != nil {
			return nil, err
		}
		w = z
	case "snappy", "x-snappy-framed":
		if encoding == "snappy" && p == HTTP {
			return s2.EncodeSnappy(nil, b), nil
		}
		w = snappy.NewBufferedWriter(&out)
	default:
		return nil, fmt.Errorf("hostile: compress with %q: unknown coding", encoding)
	}
	if _, err := w.Write(b); err != nil {
		return nil, fmt.Errorf("hostile: compress with %s: %w", encoding, err)
	}
	err := w.Close()
	return out.Bytes(), err
}

// Send sends the bomb on a new connection.
func (b Bomb) Send(ctx context.Context, t Target) (Answer, error) {
	if b.Port == HTTP {
		c := DialHTTP(t, "")
		defer c.CloseIdleConnections()
		return post(ctx, c, t.url()+b.spec().Path, b.Encoding, b.Body)
	}
	return b.sendGRPC(ctx, t)
}

// sendGRPC writes gRPC messages itself, since a gRPC client would compress them.
func (b Bomb) sendGRPC(ctx context.Context, t Target) (Answer, error) {
	var p http.Protocols
	p.SetHTTP2(t.TLS != nil)
	p.SetUnencryptedHTTP2(t.TLS == nil)
	tr := &http.Transport{Protocols: &p, TLSClientConfig: t.TLS,
		DialContext: func(ctx context.Context, _, addr string) (net.Conn, error) { return dialTCP(ctx, addr, "") }}
	defer tr.CloseIdleConnections()
	scheme := "http://"
	if t.TLS != nil {
		scheme = "https://"
	}
	prefix := binary.BigEndian.AppendUint32([]byte{1}, uint32(len(b.Body)))
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, scheme+t.GRPC+b.spec().Method,
		io.MultiReader(bytes.NewReader(prefix), bytes.NewReader(b.Body))) // a salvo shares the body
	if err != nil {
		return Answer{}, err
	}
	req.ContentLength = int64(len(prefix) + len(b.Body))
	req.Header = http.Header{"Content-Type": {"application/grpc"}, "Te": {"trailers"}, "Grpc-Encoding": {b.Encoding}}
	resp, err := tr.RoundTrip(req)
	if err != nil {
		return Answer{}, err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return Answer{}, err
	}
	trailer := resp.Trailer
	if trailer.Get("Grpc-Status") == "" {
		trailer = resp.Header // an answer of trailers only
	}
	code, err := strconv.Atoi(trailer.Get("Grpc-Status"))
	if err != nil {
		return Answer{}, fmt.Errorf("hostile: the answer of %s has the gRPC status %q", t.GRPC, trailer.Get("Grpc-Status"))
	}
	return answerOf(status.FromProto(&spb.Status{Code: int32(code), Details: details(trailer.Get("Grpc-Status-Details-Bin")).GetDetails()})), nil
}

func details(header string) *spb.Status {
	s := &spb.Status{}
	raw, err := base64.RawStdEncoding.DecodeString(header)
	if err != nil || proto.Unmarshal(raw, s) != nil {
		return nil
	}
	return s
}

// bombTimeout is how long to wait for the answer to a bomb.
const bombTimeout = time.Minute

// Salvo sends n copies at once and returns the answers, and errors for those that
// had none.
func (b Bomb) Salvo(ctx context.Context, t Target, n int) (answers []Answer, errs []error) {
	ctx, cancel := context.WithTimeout(ctx, bombTimeout)
	defer cancel()
	type result struct {
		Answer
		err error
	}
	results := make(chan result, n)
	for range n {
		go func() {
			a, err := b.Send(ctx, t)
			results <- result{a, err}
		}()
	}
	for range n {
		if r := <-results; r.err != nil {
			errs = append(errs, r.err)
		} else {
			answers = append(answers, r.Answer)
		}
	}
	return answers, errs
}

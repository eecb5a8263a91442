package netcfg

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/klauspost/compress/gzip"

	"github.com/penstock-telemetry/penstock/internal/bufpool"
)

// Why Decompress refuses a body. Every other error of Decompress comes from the
// reader that it was given.
var (
	// ErrTooLarge: more than maxBytes bytes would come out.
	ErrTooLarge = errors.New("the body is larger than the limit")
	// ErrUnknownEncoding: the encoding is none of Encodings.
	ErrUnknownEncoding = errors.New("unknown content encoding")
	// ErrCorrupt: the bytes are not what the encoding says, or ask for more
	// memory than it allows (a zstd window above 8 MiB).
	ErrCorrupt = errors.New("the compressed body is corrupt")
)

// Encodings lists the names that Decompress knows, beside "" and "identity".
func Encodings() []string { return []string{"gzip", "zstd"} }

// minBuffer is the least capacity to decompress into.
const minBuffer = 4 << 10

// Decompress reads src to its end, undoes encoding and returns the result in a
// buffer of internal/bufpool that the caller now owns. At most maxBytes bytes
// come out: one more is ErrTooLarge. Not more than maxBytes (rounded up to the
// pool's next class), the smaller buffer it grew out of, and a fixed amount of
// state are held, whatever the body claims about itself. A zstd body that grows
// beyond what its length lets expect costs its window too, 8 MiB at most.
//
// encoding is an HTTP content coding: compared without case, "x-gzip" is gzip
// (RFC 9110, section 8.4.1), "" and "identity" are the plain bytes. A list of
// codings is ErrUnknownEncoding.
//
// dst is a buffer from bufpool to write into, for a caller that can guess the
// size; nil if it cannot. Its contents are overwritten. It belongs to Decompress
// from the call on: the result may be another, and after an error it is back in
// the pool.
func Decompress(encoding string, dst *[]byte, src io.Reader, maxBytes int) (*[]byte, error) {
	maxBytes = max(maxBytes, 0)
	in := &source{r: src}
	if dst == nil {
		dst = bufpool.Get(minBuffer)
	}
	var err error
	switch name := strings.ToLower(encoding); name {
	case "", "identity":
		dst, err = readInto(dst, in, maxBytes)
	case "gzip", "x-gzip":
		dst, err = gunzip(dst, in, maxBytes)
	case "zstd":
		dst, err = unzstd(dst, in, maxBytes)
	default:
		err = fmt.Errorf("%w %q: expected %s or none", ErrUnknownEncoding, encoding, strings.Join(Encodings(), ", "))
	}
	if in.err != nil { // the decoders see a broken source as a short one
		err = fmt.Errorf("read the body: %w", in.err)
	}
	if err != nil {
		bufpool.Put(dst)
		return nil, err
	}
	return dst, nil
}

// source remembers why its reader broke off, which tells a broken connection
// from broken data.
type source struct {
	r   io.Reader
	err error // nil also after io.EOF
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if err != nil && err != io.EOF {
		s.err = err
	}
	return n, err
}

// readInto fills dst from its start until r ends.
func readInto(dst *[]byte, r io.Reader, maxBytes int) (*[]byte, error) {
	var probe [1]byte
	*dst = (*dst)[:0]
	for {
		b := *dst
		n := len(b)
		room := b[n:min(cap(b), max(maxBytes, n))]
		switch {
		case len(room) > 0:
		case n < maxBytes:
			dst = enlarge(dst, maxBytes)
			continue
		default: // full to the limit: the end must come now
			room = probe[:]
		}
		got, err := r.Read(room)
		if n+got > maxBytes {
			return dst, tooLarge(maxBytes)
		}
		*dst = b[:n+got]
		if err == io.EOF {
			return dst, nil
		}
		if err != nil {
			return dst, err
		}
	}
}

// enlarge moves the contents of p to a buffer of twice its capacity, at most
// maxBytes.
func enlarge(p *[]byte, maxBytes int) *[]byte {
	q := bufpool.Get(min(max(2*cap(*p), minBuffer), maxBytes))
	*q = (*q)[:copy(*q, *p)]
	bufpool.Put(p)
	return q
}

func tooLarge(maxBytes int) error { return fmt.Errorf("%w of %d bytes", ErrTooLarge, maxBytes) }

func corrupt(encoding string, err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return fmt.Errorf("%w: the %s ends too early", ErrCorrupt, encoding)
	}
	return fmt.Errorf("%w, it is no valid %s: %w", ErrCorrupt, encoding, err)
}

// gunzipper is a gzip reader with its own input buffer, so that a pooled one
// does not hold on to the request it last read.
type gunzipper struct {
	in bufio.Reader
	z  gzip.Reader
}

// gunzippers is a cache and nothing more.
var gunzippers = sync.Pool{New: func() any { return new(gunzipper) }}

func gunzip(dst *[]byte, src io.Reader, maxBytes int) (*[]byte, error) {
	g := gunzippers.Get().(*gunzipper)
	defer g.release()
	if err := g.reset(src); err != nil {
		return dst, corrupt("gzip", err)
	}
	dst, err := readInto(dst, g, maxBytes)
	if err != nil && !errors.Is(err, ErrTooLarge) {
		err = corrupt("gzip", err)
	}
	return dst, err
}

// reset reads the first member's header.
func (g *gunzipper) reset(src io.Reader) error {
	g.in.Reset(src)
	return g.member()
}

func (g *gunzipper) member() error {
	if err := g.z.Reset(&g.in); err != nil {
		return noEOF(err)
	}
	g.z.Multistream(false)
	return nil
}

// Read joins the members (RFC 1952, section 2.2). What follows the last and is
// no member is an error. The library's own way of joining takes a header that is
// cut off for the end.
func (g *gunzipper) Read(p []byte) (int, error) {
	for {
		n, err := g.z.Read(p)
		if err != io.EOF {
			return n, err
		}
		if _, err := g.in.Peek(1); err != nil {
			return n, err
		}
		if err := g.member(); err != nil || n > 0 {
			return n, err
		}
	}
}

func noEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

func (g *gunzipper) release() {
	g.in.Reset(nil)
	gunzippers.Put(g)
}

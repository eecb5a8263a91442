package netcfg

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/klauspost/compress/gzip"
	"google.golang.org/grpc/encoding"
)

var endpointSeeds = []string{
	"host:4317", "[::1]:4317", "[fe80::1%25eth0]:4317", "::1:4317", "dns:4317", "dns:///host:4317", "unix:///run/a b.sock", "host:0", "host:",
	":4317", "http://host:4317/", "HTTPS://host:4317", "http://u:p@host:4317/v1?a=b", "http://host?:4317", "http://host#f", "http://:80",
	"socks5://host:1080", "http://%zz", "a b:1", "h\x00:1", "%c3%a9:1", "http://h:99999", "//host:1", "http:host:1", "http://a//b?c",
}

// What is accepted is a target of gRPC's own, or a host and a port that net and
// net/url read alike; and it means the same when it is read again.
func FuzzParseGRPCTarget(f *testing.F) {
	for _, s := range endpointSeeds {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, endpoint string) {
		got, err := ParseGRPCTarget(endpoint)
		if err != nil {
			return
		}
		again, err := ParseGRPCTarget(got.Address)
		if err != nil || again.Address != got.Address || again.Plaintext || again.Encrypted || got.Plaintext && got.Encrypted {
			t.Fatalf("%q is %+v, which is %+v, %v", endpoint, got, again, err)
		}
		if got.Address == endpoint { // a resolver's
			return
		}
		hostPort, ours := strings.CutPrefix(got.Address, "dns:///")
		if !ours || !strings.Contains(endpoint, hostPort) {
			t.Fatalf("%q became %q", endpoint, got.Address)
		}
		host, port, err := net.SplitHostPort(hostPort)
		n, portErr := strconv.Atoi(port)
		u, urlErr := url.Parse("dns://" + hostPort)
		if err != nil || portErr != nil || urlErr != nil || n < 1 || n > 65535 || u.User != nil {
			t.Fatalf("%q: %q is no host and port: %v, %v, %v", endpoint, hostPort, err, portErr, urlErr)
		}
		if plain, err := url.PathUnescape(host); err != nil || u.Hostname() != plain || plain == "" || u.Port() != port {
			t.Fatalf("%q: net reads %q and %q, net/url %q and %q (%v)", endpoint, host, port, u.Hostname(), u.Port(), err)
		}
	})
}

// What is accepted can be requested, means the same when it is read again, and no
// error tells a password.
func FuzzParseHTTPEndpoint(f *testing.F) {
	fuzzURL(f, ParseHTTPEndpoint, "http", "https")
}

// The same for the URL of a proxy.
func FuzzParseProxyURL(f *testing.F) {
	fuzzURL(f, ParseProxyURL, "http", "https", "socks5", "socks5h")
}

func fuzzURL(f *testing.F, parse func(string) (*url.URL, error), schemes ...string) {
	for _, s := range endpointSeeds {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		checkURL(t, parse, schemes, s)
		const password = "s3cr3t-of-the-test"
		for _, scheme := range append(schemes, "ftp", "") {
			_, err := parse(scheme + "://u:" + password + "@" + s)
			if err != nil && strings.Contains(err.Error(), password) {
				t.Fatalf("%q: the error tells the password: %v", s, err)
			}
		}
	})
}

func checkURL(t *testing.T, parse func(string) (*url.URL, error), schemes []string, s string) {
	t.Helper()
	got, err := parse(s)
	if err != nil {
		return
	}
	if !slices.Contains(schemes, got.Scheme) || got.Hostname() == "" {
		t.Fatalf("%q: accepted with the scheme %q and the host %q", s, got.Scheme, got.Hostname())
	}
	if port := got.Port(); port != "" {
		if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
			t.Fatalf("%q: accepted with the port %q", s, port)
		}
	}
	again, err := parse(got.String())
	if err != nil || again.String() != got.String() || again.Host != got.Host || again.Scheme != got.Scheme {
		t.Fatalf("%q is %q, which is %v, %v", s, got, again, err)
	}
	// net/http drops the colon of an empty port.
	req, err := http.NewRequest(http.MethodPost, s, nil)
	if err != nil || req.URL.Hostname() != got.Hostname() || req.URL.Port() != got.Port() {
		t.Fatalf("%q: got the host %q, net/http says %v, %v", s, got.Host, req, err)
	}
}

// What gRPC is given to read messages with agrees with other decoders, gives no
// more than it is asked for, and reads back what its counterpart wrote.
func FuzzGRPCCompressors(f *testing.F) {
	for _, b := range [][]byte{nil, []byte("x"), text(3000)} {
		f.Add(uint8(0), b, uint16(5000))
		f.Add(uint8(0), gzipped(b, b), uint16(5000))
		f.Add(uint8(1), zstdSized(b), uint16(5000))
		f.Add(uint8(1), append(zstdStreamed(b), zstdSized(b)...), uint16(2000))
	}
	f.Add(uint8(1), zstdRuns(window8MiB, 2), uint16(65535))
	f.Add(uint8(1), zstdRuns(windowAbove8MiB, 2), uint16(65535))
	f.Add(uint8(1), zstdClaims(1<<40), uint16(65535))
	f.Fuzz(func(t *testing.T, which uint8, b []byte, limit uint16) {
		c := encoding.GetCompressor(GRPCEncodings()[int(which)%len(GRPCEncodings())])
		if len(b) > 0 { // gRPC never compresses nothing
			var wire bytes.Buffer
			if err := grpcCompress(c, &wire, b, int(limit)+1); err != nil {
				t.Fatalf("%s: %v", c.Name(), err)
			}
			if got, err := grpcDecompress(c, &wire, len(b)); err != nil || !bytes.Equal(got, b) {
				t.Fatalf("%s: %d bytes do not come back: %d, %v", c.Name(), len(b), len(got), err)
			}
		}
		if len(b) == 0 {
			return
		}
		got, err := grpcDecompress(c, iotest.HalfReader(bytes.NewReader(b)), int(limit))
		coding := c.Name()
		if coding == "snappy" { // gRPC's is always framed
			coding = "x-snappy-framed"
		}
		want, wantErr := oracle(coding, b, int(limit))
		switch {
		case errors.Is(err, gzip.ErrHeader): // the oracle lets reserved flags pass (RFC 1952, section 2.3.1.2)
		case (err == nil) != (wantErr == nil),
			// What is both corrupt and too large depends on who looks first: a chunk of
			// snappy is checked as a whole.
			c.Name() != "snappy" && errors.Is(err, ErrTooLarge) != errors.Is(wantErr, ErrTooLarge):
			t.Fatalf("%s: got %v, the oracle says %v", c.Name(), err, wantErr)
		case err == nil && !bytes.Equal(got, want):
			t.Fatalf("%s: other bytes than the oracle's", c.Name())
		}
	})
}

// grpcCompress writes b in pieces of at most n bytes.
func grpcCompress(c encoding.Compressor, to io.Writer, b []byte, n int) error {
	w, err := c.Compress(to)
	if err != nil {
		return err
	}
	for ; len(b) > 0; b = b[min(n, len(b)):] {
		if _, err := w.Write(b[:min(n, len(b))]); err != nil {
			return err
		}
	}
	return w.Close()
}

// grpcDecompress reads as gRPC does: to the limit, and one byte more to see
// whether that was all.
func grpcDecompress(c encoding.Compressor, from io.Reader, limit int) ([]byte, error) {
	r, err := c.Decompress(from)
	if err != nil {
		return nil, err
	}
	defer r.(io.Closer).Close()
	b, err := io.ReadAll(io.LimitReader(r, int64(limit)+1))
	if err == nil && len(b) > limit {
		err = fmt.Errorf("%w: %d bytes", ErrTooLarge, len(b))
	}
	return b, err
}

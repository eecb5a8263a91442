package config_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	. "github.com/penstock-telemetry/penstock/config"

	"github.com/penstock-telemetry/penstock/internal/test/tlstest"
)

func TestServerTLSRefuses(t *testing.T) {
	t.Parallel()
	ca := tlstest.New(t)
	cert, key := ca.Pair("a")
	_, other := ca.Pair("b")
	dir := t.TempDir()
	file := func(name string, b []byte) string { return write(t, filepath.Join(dir, name), b) }
	certFile, keyFile, otherFile := file("cert", cert), file("key", key), file("other", other)
	good := TLS{CertFile: certFile, KeyFile: keyFile}
	const start = "failed to load TLS config: "
	for want, s := range map[string]ServerTLS{
		start + "failed to load TLS cert and key: for auth via TLS, provide both certificate and key, or neither": {TLS: TLS{CertFile: "willfail"}},
		start + "TLS configuration must include both certificate and key for server connections":                  {},
		start + "failed to load TLS cert and key: read the certificate: open ":                                    {TLS: TLS{CertFile: certFile + ".gone", KeyFile: keyFile}},
		start + "failed to load TLS cert and key: certificate " + certFile + " with key " + otherFile + ": private key does not match": {
			TLS: TLS{CertFile: certFile, KeyFile: otherFile}},
		start + "failed to load client CA CertPool: read the client CA: open ":              {TLS: good, ClientCAFile: certFile + ".gone"},
		start + "failed to load client CA CertPool: client CA: read the CA certificate: no": {TLS: good, ClientCAFile: keyFile},
		"unknown TLS version":  {TLS: TLS{CertFile: certFile, KeyFile: keyFile, MinVersion: "SSL"}},
		"a key in a TPM":       {TLS: TLS{CertFile: certFile, KeyFile: keyFile, TPM: TPM{Enabled: true}}},
		"needs client_ca_file": {TLS: good, ClientCAFileReload: true},
		"read the CA":          {TLS: TLS{CertFile: certFile, KeyFile: keyFile, CAFile: certFile + ".gone"}},
	} {
		if got, err := s.Load(); got != nil || err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q in it", err, want)
		}
	}
	for _, s := range []ServerTLS{{}, {TLS: TLS{CertFile: "c"}}, {TLS: TLS{KeyPem: "k"}}} {
		if err := s.Validate(); !errors.Is(err, ErrServerPair) {
			t.Errorf("%+v: got %v, want %v", s, err, ErrServerPair)
		}
	}
	if err := (ServerTLS{TLS: good}).Validate(); err != nil {
		t.Error(err)
	}
}

func TestServerTLSDecode(t *testing.T) {
	t.Parallel()
	var s ServerTLS
	err := decode(t, "cert_file: c\nkey_file: k\nmin_version: '1.3'\nreload_interval: 5s\nclient_ca_file: ca\nclient_ca_file_reload: true\ntpm:\n  enabled: false", &s)
	if err != nil || s.CertFile != "c" || s.ReloadInterval != 5*time.Second || s.ClientCAFile != "ca" || !s.ClientCAFileReload {
		t.Errorf("got %+v, %v", s, err)
	}
	checkError(t, "no key", decode(t, "cert_file: c", new(ServerTLS)), ErrServerPair.Error())
	checkError(t, "tpm", decode(t, "cert_file: c\nkey_file: k\ntpm:\n  enabled: true\n  path: /dev/tpmrm0", new(ServerTLS)), "a key in a TPM is not supported")
}

func write(t testing.TB, path string, b []byte) string {
	t.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// shake connects a client and a server. It returns the state, and the first
// error of either, after one byte each way (in TLS 1.3 a client learns only
// then that it was refused).
func shake(server, client *tls.Config) (tls.ConnectionState, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return tls.ConnectionState{}, err
	}
	defer l.Close()
	done := make(chan error, 1)
	go func() {
		c, err := l.Accept()
		if err != nil {
			done <- err
			return
		}
		defer c.Close()
		s := tls.Server(c, server)
		_, err = io.ReadFull(s, make([]byte, 1))
		if err == nil {
			_, err = s.Write([]byte{1})
		}
		done <- err
	}()
	c, err := tls.Dial("tcp", l.Addr().String(), client)
	var state tls.ConnectionState
	if err == nil {
		defer c.Close()
		if _, err = c.Write([]byte{1}); err == nil {
			_, err = io.ReadFull(c, make([]byte, 1))
		}
		state = c.ConnectionState()
	} else {
		err = fmt.Errorf("client: %w", err)
	}
	return state, errors.Join(<-done, err)
}

// fixture has the files of a server and a client that trusts them.
type fixture struct {
	ca        *tlstest.Authority
	dir       string
	cert, key string
}

func newFixture(t testing.TB) *fixture {
	ca := tlstest.New(t)
	f := &fixture{ca: ca, dir: t.TempDir()}
	cert, key := ca.Pair("127.0.0.1")
	f.cert, f.key = write(t, filepath.Join(f.dir, "cert"), cert), write(t, filepath.Join(f.dir, "key"), key)
	return f
}

func (f *fixture) client() *tls.Config { return &tls.Config{RootCAs: f.ca.Pool()} }

// with returns a client config that always sends the certificate.
func (f *fixture) with(cert, key []byte) *tls.Config {
	c := f.client()
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		panic(err)
	}
	c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
	return c
}

func TestServerTLSMutual(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	other := tlstest.New(t)
	caFile := write(t, filepath.Join(f.dir, "ca"), f.ca.PEM)
	expired := func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }
	early := func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Minute) }
	serverOnly := func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }
	for name, c := range map[string]struct {
		client *tls.Config
		want   string
	}{
		"right":       {f.with(f.ca.Pair("client")), ""},
		"none":        {f.client(), "client didn't provide a certificate"},
		"wrong CA":    {f.with(other.Pair("client")), "certificate signed by unknown authority"},
		"expired":     {f.with(f.ca.PairWith("client", expired)), "certificate has expired"},
		"not yet":     {f.with(f.ca.PairWith("client", early)), "not yet valid"},
		"wrong usage": {f.with(f.ca.PairWith("client", serverOnly)), "incompatible key usage"},
	} {
		for _, reload := range []bool{false, true} {
			for _, version := range []string{"1.2", "1.3"} {
				s := ServerTLS{TLS: TLS{CertFile: f.cert, KeyFile: f.key, MinVersion: version, MaxVersion: version},
					ClientCAFile: caFile, ClientCAFileReload: reload}
				server, err := s.Load()
				if err != nil {
					t.Fatal(err)
				}
				state, err := shake(server, c.client)
				switch {
				case c.want == "" && (err != nil || tls.VersionName(state.Version) != "TLS "+version):
					t.Errorf("%s, TLS %s, reload %v: %v", name, version, reload, err)
				case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
					t.Errorf("%s, TLS %s, reload %v: got %v, want %q", name, version, reload, err, c.want)
				}
			}
		}
	}
}

// The minimum version is 1.2 by default, and the configured versions apply to
// every handshake.
func TestServerTLSVersions(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	caFile := write(t, filepath.Join(f.dir, "ca"), f.ca.PEM)
	client := f.with(f.ca.Pair("client"))
	for _, c := range []struct {
		floor   string
		highest uint16
		ok      bool
	}{
		{"", tls.VersionTLS11, false}, {"", tls.VersionTLS12, true}, {"1.3", tls.VersionTLS12, false}, {"1.3", tls.VersionTLS13, true}, {"1.0", tls.VersionTLS10, true},
	} {
		server, err := ServerTLS{TLS: TLS{CertFile: f.cert, KeyFile: f.key, MinVersion: c.floor,
			IncludeInsecureCipherSuites: true, CipherSuites: []string{"TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA", "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"},
			CurvePreferences: []string{"P384"}}, ClientCAFile: caFile, ClientCAFileReload: true}.Load()
		if err != nil {
			t.Fatal(err)
		}
		mine := client.Clone()
		mine.MinVersion, mine.MaxVersion = tls.VersionTLS10, c.highest
		state, err := shake(server, mine)
		if (err == nil) != c.ok {
			t.Errorf("floor %q, client up to %s: %v", c.floor, tls.VersionName(c.highest), err)
		}
		if c.ok && state.CurveID != tls.CurveP384 {
			t.Errorf("curve %v, want the configured one", state.CurveID)
		}
		if c.ok && c.highest == tls.VersionTLS12 && state.CipherSuite != tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384 {
			t.Errorf("cipher suite %s, want the configured one", tls.CipherSuiteName(state.CipherSuite))
		}
	}
}

// 100 certificates are written, one file after the other, during handshakes: no
// handshake fails, and the last certificate is used.
func TestServerTLSRotation(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	var reports atomic.Int64
	server, err := ServerTLS{TLS: TLS{CertFile: f.cert, KeyFile: f.key, ReloadInterval: time.Nanosecond}}.
		LoadReporting(func(error) { reports.Add(1) })
	if err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	var shakes atomic.Int64
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if _, err := shake(server, f.client()); err != nil {
					t.Errorf("a handshake failed: %v", err)
					return
				}
				shakes.Add(1)
			}
		})
	}
	serial := func() string {
		state, err := shake(server, f.client())
		if err != nil {
			t.Fatal(err)
		}
		return state.PeerCertificates[0].SerialNumber.String()
	}
	var last []byte
	for i := range 100 {
		cert, key := f.ca.Pair("127.0.0.1")
		write(t, f.cert, cert[:len(cert)/2]) // half-written
		if i%2 == 0 {
			server.GetCertificate(nil)
		}
		write(t, f.cert, cert) // now the new certificate with the old key
		server.GetCertificate(nil)
		write(t, f.key, key)
		last = cert
	}
	pair, err := tls.LoadX509KeyPair(f.cert, f.key)
	if err != nil {
		t.Fatal(err)
	}
	want := pair.Leaf.SerialNumber.String()
	for serial() != want {
		time.Sleep(time.Millisecond) // ends at the latest with the timeout of the test
	}
	close(stop)
	wg.Wait()
	if shakes.Load() == 0 || reports.Load() == 0 || len(last) == 0 {
		t.Errorf("%d handshakes, %d reports: the test proved nothing", shakes.Load(), reports.Load())
	}
}

// A failed reload keeps the old certificate, is reported once, and is retried
// soon, however long the interval is.
func TestServerTLSReloadFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		var reported []string
		server, err := ServerTLS{TLS: TLS{CertFile: f.cert, KeyFile: f.key, ReloadInterval: time.Hour}}.
			LoadReporting(func(err error) { reported = append(reported, err.Error()) })
		if err != nil {
			t.Fatal(err)
		}
		name := func() string {
			c, err := server.GetCertificate(nil)
			if err != nil {
				t.Fatal(err)
			}
			return c.Leaf.Subject.CommonName
		}
		cert, key := f.ca.Pair("new")
		write(t, f.cert, cert)
		if got := name(); got != "127.0.0.1" || len(reported) != 0 {
			t.Fatalf("within the interval: %s, %q", got, reported)
		}
		time.Sleep(time.Hour)
		for range 5 {
			if got := name(); got != "127.0.0.1" {
				t.Fatalf("a certificate without its key: %s", got)
			}
			time.Sleep(2 * time.Second)
		}
		if len(reported) != 1 || !strings.Contains(reported[0], "private key does not match") {
			t.Errorf("reported %q, want one", reported)
		}
		write(t, f.key, key)
		if got := name(); got != "new" {
			t.Errorf("after both are there: %s", got)
		}
		write(t, f.key, key[:10])
		time.Sleep(time.Hour)
		if got := name(); got != "new" || len(reported) != 2 {
			t.Errorf("a half-written key: %s, reported %q", got, reported)
		}
	})
}

// A new client CA is used from the next handshake on, also for resumed sessions;
// the other settings do not change. An invalid file changes nothing.
func TestServerTLSClientCAReload(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	before, after := tlstest.New(t), tlstest.New(t)
	caFile := write(t, filepath.Join(f.dir, "ca"), before.PEM)
	for _, version := range []string{"1.2", "1.3"} {
		write(t, caFile, before.PEM)
		server, err := ServerTLS{TLS: TLS{CertFile: f.cert, KeyFile: f.key, MinVersion: version, MaxVersion: version,
			CurvePreferences: []string{"P384"}}, ClientCAFile: caFile, ClientCAFileReload: true}.Load()
		if err != nil {
			t.Fatal(err)
		}
		server.NextProtos = []string{"h2"}
		old, new := f.with(before.Pair("old")), f.with(after.Pair("new"))
		old.ClientSessionCache = tls.NewLRUClientSessionCache(1)
		old.NextProtos, new.NextProtos = server.NextProtos, server.NextProtos
		resumed := false
		for range 3 {
			state, err := shake(server, old)
			if err != nil {
				t.Fatal(err)
			}
			resumed = state.DidResume
		}
		if !resumed {
			t.Errorf("TLS %s: no session was resumed: the test proves nothing", version)
		}
		if _, err := shake(server, new); err == nil {
			t.Error("the new client was accepted before its CA")
		}
		write(t, caFile, after.PEM[:20])
		time.Sleep(ClientCAEvery)
		if _, err := shake(server, old); err != nil {
			t.Errorf("with an invalid file the old client is refused: %v", err)
		}
		write(t, caFile, after.PEM)
		time.Sleep(ClientCAEvery)
		if _, err := shake(server, old); err == nil {
			t.Errorf("TLS %s: the old client is still accepted, with a resumed session", version)
		}
		state, err := shake(server, new)
		if err != nil || state.CurveID != tls.CurveP384 || state.NegotiatedProtocol != "h2" {
			t.Errorf("TLS %s: the new client: %v, curve %v, protocol %q", version, err, state.CurveID, state.NegotiatedProtocol)
		}
	}
}

// PEM texts in the configuration work like files.
func TestServerTLSInline(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	cert, key := f.ca.Pair("127.0.0.1")
	server, err := ServerTLS{TLS: TLS{CertPem: Secret(cert), KeyPem: Secret(key), ReloadInterval: time.Nanosecond}}.Load()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := shake(server, f.client()); err != nil {
		t.Error(err)
	}
}

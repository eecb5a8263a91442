package config

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"time"
)

// ServerTLS holds the TLS settings of a server, with the Collector's keys. A
// certificate and its key are required. The CA of the embedded TLS has no use on
// a server; its IncludeSystemCACertsPool adds the system's authorities to the
// client CA.
type ServerTLS struct {
	TLS `yaml:",inline"`
	// ClientCAFile has the authorities whose client certificates are accepted.
	// If it is set, a client must have a certificate.
	ClientCAFile string `yaml:"client_ca_file"`
	// ClientCAFileReload reads ClientCAFile again when it changes, at most once
	// a second.
	ClientCAFileReload bool `yaml:"client_ca_file_reload"`
}

// Format implements fmt.Formatter. Without it, a verb that is not valid for a
// pointer to a struct, such as %s, would print the PEM texts in clear text.
func (s ServerTLS) Format(f fmt.State, verb rune) {
	type plain ServerTLS
	fmt.Fprintf(f, fmt.FormatString(f, verb), plain(s))
}

// clientCAEvery is how long a client CA is used before its file is checked
// again.
const clientCAEvery = time.Second

var errServerPair = errors.New("TLS configuration must include both certificate and key for server connections")

// Validate checks what can be checked without reading files.
func (s ServerTLS) Validate() error {
	problems := []error{s.TLS.Validate()}
	if !s.hasCert() || !s.hasKey() {
		problems = append(problems, errServerPair)
	}
	if s.ClientCAFileReload && s.ClientCAFile == "" {
		problems = append(problems, Atf("client_ca_file_reload", "client_ca_file_reload needs client_ca_file"))
	}
	return errors.Join(problems...)
}

// Load is LoadReporting without a report.
func (s ServerTLS) Load() (*tls.Config, error) { return s.LoadReporting(nil) }

// LoadReporting reads the files and returns the settings for crypto/tls; the
// caller adds NextProtos. Certificate and key are read again at the first
// handshake after ReloadInterval, and the client CA at the first handshake after a
// second if ClientCAFileReload is set. If a reload fails, report, which may be
// nil, is called with the error during the handshake, once for each different
// error; the contents of the old files stay in use.
//
// With ClientCAFileReload the client certificates are verified in
// VerifyConnection, at every handshake and every resumption, so that a session
// from before a change is verified too. VerifiedChains stays empty, and the
// handshake does not send clients the list of accepted authorities.
func (s ServerTLS) LoadReporting(report func(error)) (*tls.Config, error) {
	out, err := s.load(report)
	if err != nil {
		return nil, fmt.Errorf("failed to load TLS config: %w", err)
	}
	return out, nil
}

func (s ServerTLS) load(report func(error)) (*tls.Config, error) {
	switch {
	case s.hasCert() != s.hasKey(): // with the Collector's text
		return nil, errors.New("failed to load TLS cert and key: for auth via TLS, provide both certificate and key, or neither")
	case !s.hasCert():
		return nil, errServerPair
	}
	if err := s.Validate(); err != nil {
		return nil, err
	}
	if _, err := s.authorities(); err != nil {
		return nil, err
	}
	out := s.base()
	pair := &reloaded[tls.Certificate]{read: s.readPair, every: s.ReloadInterval, report: report}
	if err := pair.load(); err != nil {
		return nil, fmt.Errorf("failed to load TLS cert and key: %w", err)
	}
	out.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return pair.get(), nil }
	if s.ClientCAFile == "" {
		return out, nil
	}
	clients := &clientCA{file: TLS{CAFile: s.ClientCAFile, IncludeSystemCACertsPool: s.IncludeSystemCACertsPool}}
	pool := &reloaded[x509.CertPool]{read: clients.read, every: clientCAEvery, report: report}
	if err := pool.load(); err != nil {
		return nil, fmt.Errorf("failed to load client CA CertPool: %w", err)
	}
	if !s.ClientCAFileReload {
		out.ClientAuth, out.ClientCAs = tls.RequireAndVerifyClientCert, pool.value.Load()
		return out, nil
	}
	out.ClientAuth = tls.RequireAnyClientCert
	out.VerifyConnection = func(c tls.ConnectionState) error { return verifyClient(c, pool.get()) }
	return out, nil
}

// clientCA reads the file of a client CA, and parses it only if its contents
// have changed.
type clientCA struct {
	file TLS
	sum  [sha256.Size]byte
	pool *x509.CertPool
}

func (c *clientCA) read() (*x509.CertPool, error) {
	b, err := os.ReadFile(c.file.CAFile)
	if err != nil {
		return nil, fmt.Errorf("read the client CA: %w", err)
	}
	sum := sha256.Sum256(b)
	if c.pool != nil && sum == c.sum {
		return c.pool, nil
	}
	pool, err := c.file.poolOf(b)
	if err != nil {
		return nil, fmt.Errorf("client CA: %w", err)
	}
	c.pool, c.sum = pool, sum
	return pool, nil
}

// verifyClient does what crypto/tls does for RequireAndVerifyClientCert.
func verifyClient(c tls.ConnectionState, pool *x509.CertPool) error {
	if len(c.PeerCertificates) == 0 {
		return errors.New("the client has no certificate")
	}
	opts := x509.VerifyOptions{
		Roots: pool, Intermediates: x509.NewCertPool(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	for _, cert := range c.PeerCertificates[1:] {
		opts.Intermediates.AddCert(cert)
	}
	if _, err := c.PeerCertificates[0].Verify(opts); err != nil {
		return fmt.Errorf("verify the client's certificate: %w", err)
	}
	return nil
}

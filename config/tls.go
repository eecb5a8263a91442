package config

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"
)

// TLS holds the TLS settings that servers and clients share, with the
// Collector's keys. Each of the three PEM texts is either in a file or in the
// configuration.
type TLS struct {
	CAFile   string `yaml:"ca_file"`
	CAPem    Secret `yaml:"ca_pem"`
	CertFile string `yaml:"cert_file"`
	CertPem  Secret `yaml:"cert_pem"`
	KeyFile  string `yaml:"key_file"`
	KeyPem   Secret `yaml:"key_pem"`
	// IncludeSystemCACertsPool adds the system's authorities to those of CA.
	// Without a CA only the system's authorities are trusted.
	IncludeSystemCACertsPool bool `yaml:"include_system_ca_certs_pool"`
	// MinVersion and MaxVersion are "1.0" to "1.3"; empty means 1.2 and the
	// newest version.
	MinVersion string `yaml:"min_version"`
	MaxVersion string `yaml:"max_version"`
	// CipherSuites are names of crypto/tls, for TLS 1.2 and older; empty means
	// Go's default.
	CipherSuites                []string `yaml:"cipher_suites"`
	IncludeInsecureCipherSuites bool     `yaml:"include_insecure_cipher_suites"`
	// CurvePreferences are X25519MLKEM768, X25519, P256, P384, P521.
	CurvePreferences []string `yaml:"curve_preferences"`
	// ReloadInterval is how long a loaded certificate and key are used before
	// they are read again; 0 means they are read once. If the new ones cannot
	// be read, or do not match each other, the old ones stay in use.
	ReloadInterval time.Duration `yaml:"reload_interval"`
	// TPM is not supported: Validate returns an error if it is enabled.
	TPM TPM `yaml:"tpm"`
}

// TPM is a key in a trusted platform module, which the Collector supports.
type TPM struct {
	Enabled   bool   `yaml:"enabled"`
	Path      string `yaml:"path"`
	OwnerAuth Secret `yaml:"owner_auth"`
	Auth      Secret `yaml:"auth"`
}

// Validate returns an error if the TPM is enabled.
func (t TPM) Validate() error {
	if t.Enabled {
		return Atf("enabled", "a key in a TPM is not supported: expected key_file or key_pem")
	}
	return nil
}

// ClientTLS holds the TLS settings of a client. The zero value means TLS with
// the system's authorities.
type ClientTLS struct {
	TLS `yaml:",inline"`
	// Insecure turns TLS off. As in the Collector, it has no effect if a CA is
	// set.
	Insecure bool `yaml:"insecure"`
	// InsecureSkipVerify disables the verification of the server's certificate.
	InsecureSkipVerify bool `yaml:"insecure_skip_verify"`
	// ServerName replaces the endpoint's host in the verification of the
	// certificate.
	ServerName string `yaml:"server_name_override"`
}

var (
	versions = map[string]uint16{
		"1.0": tls.VersionTLS10, "1.1": tls.VersionTLS11, "1.2": tls.VersionTLS12, "1.3": tls.VersionTLS13,
	}
	curves = map[string]tls.CurveID{
		"P256": tls.CurveP256, "P384": tls.CurveP384, "P521": tls.CurveP521,
		"X25519": tls.X25519, "X25519MLKEM768": tls.X25519MLKEM768,
	}
)

// Validate checks what can be checked without reading files.
func (c ClientTLS) Validate() error {
	err := c.TLS.Validate()
	if c.hasCert() != c.hasKey() {
		err = errors.Join(err, errors.New("a certificate needs its key: expected both of cert and key, or neither"))
	}
	return err
}

// Validate checks the settings without reading files.
func (t TLS) Validate() error {
	var problems []error
	add := func(err error) { problems = append(problems, err) }
	add(At("tpm", t.TPM.Validate()))
	for _, p := range []struct {
		key, file string
		pem       Secret
	}{{"ca", t.CAFile, t.CAPem}, {"cert", t.CertFile, t.CertPem}, {"key", t.KeyFile, t.KeyPem}} {
		if p.file != "" && p.pem != "" {
			add(Atf(p.key+"_pem", "%[1]s_pem and %[1]s_file are both set: expected one", p.key))
		}
	}
	lowest, err := version(t.MinVersion, tls.VersionTLS12)
	add(At("min_version", err))
	highest, err := version(t.MaxVersion, 0)
	add(At("max_version", err))
	if highest != 0 && lowest > highest {
		add(Atf("max_version", "max_version %q is lower than min_version (%s)", t.MaxVersion, tls.VersionName(lowest)))
	}
	_, err = t.cipherSuites()
	add(At("cipher_suites", err))
	_, err = t.curvePreferences()
	add(At("curve_preferences", err))
	if t.ReloadInterval < 0 {
		add(Atf("reload_interval", "reload_interval %s is negative", t.ReloadInterval))
	}
	return errors.Join(problems...)
}

func (t TLS) hasCA() bool   { return t.CAFile != "" || t.CAPem != "" }
func (t TLS) hasCert() bool { return t.CertFile != "" || t.CertPem != "" }
func (t TLS) hasKey() bool  { return t.KeyFile != "" || t.KeyPem != "" }

func version(name string, otherwise uint16) (uint16, error) {
	if name == "" {
		return otherwise, nil
	}
	v, ok := versions[name]
	if !ok {
		return 0, fmt.Errorf("unknown TLS version %q: expected 1.0, 1.1, 1.2 or 1.3", name)
	}
	return v, nil
}

func (t TLS) cipherSuites() ([]uint16, error) {
	known := tls.CipherSuites()
	if t.IncludeInsecureCipherSuites {
		known = append(known, tls.InsecureCipherSuites()...)
	}
	var ids []uint16
	for _, name := range t.CipherSuites {
		i := slices.IndexFunc(known, func(s *tls.CipherSuite) bool { return s.Name == name })
		if i < 0 {
			return nil, fmt.Errorf("unknown or insecure cipher suite %q: expected a name as in crypto/tls", name)
		}
		ids = append(ids, known[i].ID)
	}
	return ids, nil
}

func (t TLS) curvePreferences() ([]tls.CurveID, error) {
	var ids []tls.CurveID
	for _, name := range t.CurvePreferences {
		id, ok := curves[name]
		if !ok {
			return nil, fmt.Errorf("unknown curve %q: expected X25519MLKEM768, X25519, P256, P384 or P521", name)
		}
		ids = append(ids, id)
	}
	return ids, nil
}

// Load reads the files and returns the settings for crypto/tls; nil means that
// TLS is off.
func (c ClientTLS) Load() (*tls.Config, error) {
	if c.Insecure && !c.hasCA() {
		return nil, nil
	}
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("tls: %w", err)
	}
	out := c.base()
	out.ServerName, out.InsecureSkipVerify = c.ServerName, c.InsecureSkipVerify
	var err error
	if out.RootCAs, err = c.authorities(); err != nil {
		return nil, fmt.Errorf("tls: %w", err)
	}
	if c.hasCert() {
		pair := &reloaded[tls.Certificate]{read: c.readPair, every: c.ReloadInterval}
		if err := pair.load(); err != nil {
			return nil, fmt.Errorf("tls: %w", err)
		}
		out.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return pair.get(), nil }
	}
	return out, nil
}

// base returns the settings that need no file. Validate has checked them.
func (t TLS) base() *tls.Config {
	out := &tls.Config{}
	out.MinVersion, _ = version(t.MinVersion, tls.VersionTLS12)
	out.MaxVersion, _ = version(t.MaxVersion, 0)
	out.CipherSuites, _ = t.cipherSuites()
	out.CurvePreferences, _ = t.curvePreferences()
	return out
}

// authorities returns the trusted authorities; nil means those of the system.
func (t TLS) authorities() (*x509.CertPool, error) {
	if !t.hasCA() {
		return nil, nil
	}
	pem, err := fileOr(t.CAFile, t.CAPem)
	if err != nil {
		return nil, fmt.Errorf("read the CA certificate: %w", err)
	}
	return t.poolOf(pem)
}

// poolOf returns the authorities in pem, and the system's if
// IncludeSystemCACertsPool is set.
func (t TLS) poolOf(pem []byte) (_ *x509.CertPool, err error) {
	pool := x509.NewCertPool()
	if t.IncludeSystemCACertsPool {
		if pool, err = x509.SystemCertPool(); err != nil {
			return nil, fmt.Errorf("read the system's CA certificates: %w", err)
		}
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("read the CA certificate: no certificate in PEM form in %s", sourceOf(t.CAFile, "ca_pem"))
	}
	return pool, nil
}

func fileOr(file string, pem Secret) ([]byte, error) {
	if file == "" {
		return []byte(pem), nil
	}
	return os.ReadFile(file)
}

func sourceOf(file, key string) string {
	if file == "" {
		return key
	}
	return file
}

func (t TLS) readPair() (*tls.Certificate, error) {
	cert, err := fileOr(t.CertFile, t.CertPem)
	if err != nil {
		return nil, fmt.Errorf("read the certificate: %w", err)
	}
	key, err := fileOr(t.KeyFile, t.KeyPem)
	if err != nil {
		return nil, fmt.Errorf("read the key: %w", err)
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("certificate %s with key %s: %s", sourceOf(t.CertFile, "cert_pem"), sourceOf(t.KeyFile, "key_pem"),
			strings.TrimPrefix(err.Error(), "tls: "))
	}
	return &pair, nil
}

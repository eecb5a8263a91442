package config_test

import (
	"bytes"
	"crypto/tls"
	"os"
	"strings"
	"testing"
	"time"

	. "github.com/penstock-telemetry/penstock/config"

	"github.com/penstock-telemetry/penstock/internal/test/tlstest"
)

func TestClientTLSLoad(t *testing.T) {
	t.Parallel()
	ca := tlstest.New(t)
	cert, key := ca.Pair("client")
	caFile := tlstest.File(t, "ca.pem", ca.PEM)

	if got, err := (ClientTLS{Insecure: true}).Load(); got != nil || err != nil {
		t.Errorf("insecure: got %v, %v, want no TLS", got, err)
	}
	got, err := ClientTLS{}.Load()
	if err != nil || got == nil || got.RootCAs != nil || got.MinVersion != tls.VersionTLS12 || got.InsecureSkipVerify {
		t.Errorf("zero value: got %+v, %v, want TLS 1.2 with the system's authorities", got, err)
	}
	got, err = ClientTLS{Insecure: true, TLS: TLS{CAFile: caFile}}.Load()
	if err != nil || got == nil || !got.RootCAs.Equal(ca.Pool()) {
		t.Errorf("insecure with a CA: got %v, %v, want TLS with that CA, as the Collector", got, err)
	}
	got, err = ClientTLS{ServerName: "other", InsecureSkipVerify: true, TLS: TLS{
		CAPem: Secret(ca.PEM), CertPem: Secret(cert), KeyPem: Secret(key),
		MinVersion: "1.3", MaxVersion: "1.3", CurvePreferences: []string{"P256"},
		CipherSuites: []string{"TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"},
	}}.Load()
	switch {
	case err != nil:
		t.Error(err)
	case got.ServerName != "other", !got.InsecureSkipVerify, got.MinVersion != tls.VersionTLS13, got.MaxVersion != tls.VersionTLS13,
		got.CurvePreferences[0] != tls.CurveP256, got.CipherSuites[0] != tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
		!got.RootCAs.Equal(ca.Pool()):
		t.Errorf("got %+v", got)
	}
	if pair, err := got.GetClientCertificate(nil); err != nil || pair.Leaf.Subject.CommonName != "client" {
		t.Errorf("client certificate: %v, %v", pair, err)
	}
	withSystem := ClientTLS{TLS: TLS{CAFile: caFile, IncludeSystemCACertsPool: true}}
	if got, err := withSystem.Load(); err != nil || got.RootCAs == nil {
		t.Errorf("with the system's: %v, %v", got, err)
	}
}

func TestClientTLSLoadRefuses(t *testing.T) {
	t.Parallel()
	ca := tlstest.New(t)
	cert, _ := ca.Pair("a")
	_, other := ca.Pair("b")
	certFile, otherFile := tlstest.File(t, "cert.pem", cert), tlstest.File(t, "key.pem", other)
	empty := tlstest.File(t, "empty.pem", nil)
	for want, c := range map[string]TLS{
		"no such file":                           {CAFile: certFile + ".gone"},
		"no certificate in PEM form in ca_pem":   {CAPem: "nonsense"},
		"no certificate in PEM form in " + empty: {CAFile: empty},
		"private key does not match":             {CertFile: certFile, KeyFile: otherFile},
		"read the key: ":                         {CertFile: certFile, KeyFile: otherFile + ".gone"},
		"unknown TLS version":                    {MinVersion: "SSL"},
	} {
		if got, err := (ClientTLS{TLS: c}).Load(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, %v, want %q", got, err, want)
		}
	}
}

// A new certificate is used when the interval is over; if it cannot be read,
// the old one stays in use.
func TestClientTLSReload(t *testing.T) {
	t.Parallel()
	ca := tlstest.New(t)
	cert, key := ca.Pair("before")
	certFile, keyFile := tlstest.File(t, "cert.pem", cert), tlstest.File(t, "key.pem", key)
	load := func(every time.Duration) func() string {
		cfg, err := ClientTLS{TLS: TLS{CertFile: certFile, KeyFile: keyFile, ReloadInterval: every}}.Load()
		if err != nil {
			t.Fatal(err)
		}
		return func() string {
			pair, err := cfg.GetClientCertificate(nil)
			if err != nil {
				t.Fatal(err)
			}
			return pair.Leaf.Subject.CommonName
		}
	}
	never, later, always := load(0), load(time.Hour), load(time.Nanosecond)

	if err := os.WriteFile(certFile, bytes.Repeat([]byte("x"), 10), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := always(); got != "before" {
		t.Errorf("with an invalid file: %q, want the old certificate", got)
	}
	cert, key = ca.Pair("after")
	if err := os.WriteFile(certFile, cert, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(keyFile, key, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := [3]string{never(), later(), always()}; got != [3]string{"before", "before", "after"} {
		t.Errorf("without, within and after the interval: %q", got)
	}
}

package config_test

import (
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"

	. "github.com/penstock-telemetry/penstock/config"
)

var endpointSeeds = []string{
	"host:4317", "[::1]:4317", "[fe80::1%25eth0]:4317", "::1:4317", "dns:4317", "dns:///host:4317", "unix:///run/a b.sock", "host:0", "host:",
	":4317", "http://host:4317/", "HTTPS://host:4317", "http://u:p@host:4317/v1?a=b", "http://host?:4317", "http://host#f", "http://:80",
	"socks5://host:1080", "http://%zz", "a b:1", "h\x00:1", "%c3%a9:1", "http://h:99999", "//host:1", "http:host:1", "http://a//b?c",
}

// An accepted endpoint is a target of gRPC, or a host and a port that net and
// net/url parse in the same way. Parsing the result gives the same result.
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
		if got.Address == endpoint { // with a resolver
			return
		}
		hostPort, ours := strings.CutPrefix(got.Address, "dns:///")
		if !ours || !strings.Contains(endpoint, hostPort) && !strings.Contains(endpoint, strings.TrimPrefix(hostPort, "localhost")) {
			t.Fatalf("%q became %q", endpoint, got.Address)
		}
		host, port, err := net.SplitHostPort(hostPort)
		n, portErr := strconv.Atoi(port)
		u, urlErr := url.Parse("dns://" + hostPort)
		if err != nil || portErr != nil || urlErr != nil || n < 1 || n > 65535 || u.User != nil {
			t.Fatalf("%q: %q is not a host and port: %v, %v, %v", endpoint, hostPort, err, portErr, urlErr)
		}
		if plain, err := url.PathUnescape(host); err != nil || u.Hostname() != plain || plain == "" || u.Port() != port {
			t.Fatalf("%q: net reads %q and %q, net/url %q and %q (%v)", endpoint, host, port, u.Hostname(), u.Port(), err)
		}
	})
}

// An accepted endpoint can be requested, parsing the result gives the same
// result, and no error contains a password.
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
				t.Fatalf("%q: the error contains the password: %v", s, err)
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
	if err == nil && req.URL.Hostname() == "" {
		req.URL.Host = "localhost" + req.URL.Host // the same when net dials it
	}
	if err != nil || req.URL.Hostname() != got.Hostname() || req.URL.Port() != got.Port() {
		t.Fatalf("%q: got the host %q, net/http returned %v, %v", s, got.Host, req, err)
	}
}

package otlpreceiver

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"

	"github.com/penstock-telemetry/penstock/config"
	"github.com/penstock-telemetry/penstock/receiver/internal/frontend"
)

// Metadata selects request headers: none, all, or those named, in lower case.
type Metadata struct {
	All   bool
	Names []string
}

// DecodeConfig implements config.Decoder: a bool as in the Collector, or a list of
// names.
func (m *Metadata) DecodeConfig(v config.Value) error {
	if v.Kind() != config.List {
		return v.Decode(&m.All)
	}
	if err := v.Decode(&m.Names); err != nil {
		return err
	}
	for i, name := range m.Names {
		m.Names[i] = strings.ToLower(name)
	}
	return nil
}

// MarshalYAML implements yaml.Marshaler.
func (m Metadata) MarshalYAML() (any, error) {
	if m.Names != nil {
		return m.Names, nil
	}
	return m.All, nil
}

// FileMode is the permission bits of a file, written in octal: "0660" or 0660.
// 0 is the default.
type FileMode fs.FileMode

// DecodeConfig implements config.Decoder.
func (m *FileMode) DecodeConfig(v config.Value) error {
	text := strings.TrimPrefix(strings.ToLower(v.Text()), "0o")
	bits, err := strconv.ParseUint(text, 8, 32)
	if err != nil || bits > uint64(fs.ModePerm) {
		return v.Errorf("expected permissions in octal such as 0660, found %q", v.Text())
	}
	*m = FileMode(bits)
	return nil
}

// MarshalYAML implements yaml.Marshaler.
func (m FileMode) MarshalYAML() (any, error) {
	if m == 0 {
		return "", nil
	}
	return fmt.Sprintf("%04o", uint32(m)), nil
}

// TextPolicy is what happens to strings that are not UTF-8.
type TextPolicy string

// The policies. The zero value is AcceptText.
const (
	AcceptText TextPolicy = "accept"
	RepairText TextPolicy = "repair"
	RejectText TextPolicy = "reject"
)

func (p TextPolicy) check() error {
	switch p {
	case "", AcceptText, RepairText, RejectText:
		return nil
	}
	return fmt.Errorf("expected accept, repair or reject, found %q", string(p))
}

// Validate checks the value.
func (p *TextPolicy) Validate() error { return p.check() }

// validate checks what the servers share, but for the sections.
func (c *ServerConfig) validate() error {
	errs := []error{
		c.listenOptions().Validate(),
		checkRange("max_connections", c.MaxConnections, 1<<24),
		checkDuration("dialer.timeout", c.Dialer.Timeout),
		checkRange("min_body_rate_kib", c.MinBodyRateKiB, 1<<20),
	}
	if name := c.SenderHeader; name != "" && !httpguts.ValidHeaderFieldName(name) {
		errs = append(errs, config.Atf("sender_header", "expected the name of a header such as X-Scope-OrgID, found %q", name))
	}
	for i, m := range c.Middlewares {
		if typ, _, _ := strings.Cut(m.ID, "/"); typ != "memory_limiter" {
			errs = append(errs, config.Atf("middlewares", "entry %d: the extension %q is not supported as a middleware: expected memory_limiter", i, m.ID))
		}
	}
	return errors.Join(errs...)
}

func (c *ServerConfig) listenOptions() config.ListenOptions {
	return config.ListenOptions{Transport: c.Transport, Endpoint: c.Endpoint, SocketMode: fs.FileMode(c.SocketMode)}
}

// isAnyPort reports whether each listener on endpoint gets its own port.
func isAnyPort(endpoint string) bool {
	_, port, err := net.SplitHostPort(endpoint)
	return err == nil && (port == "0" || port == "")
}

func checkRange(key string, found, most int) error {
	if found < 0 || found > most {
		return config.Atf(key, "expected 0 to %d, found %d", most, found)
	}
	return nil
}

func checkDuration(key string, found time.Duration) error {
	if found < 0 {
		return config.Atf(key, "expected 0 or more, found %s", found)
	}
	return nil
}

// paceOf returns a copy of the receiver's pace with the settings of the server.
func (c *ServerConfig) paceOf(p *frontend.Pace) *frontend.Pace {
	own := *p
	if c.MinBodyRateKiB > 0 {
		own.MinRateBytes = c.MinBodyRateKiB << 10
	}
	return &own
}

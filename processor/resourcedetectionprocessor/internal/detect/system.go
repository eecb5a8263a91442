package detect

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/resource"
)

// HostnameSources are what hostname_sources may name.
var HostnameSources = []string{"cname", "dns", "lookup", "os"}

var errNoHostname = errors.New("no source of hostname_sources has a host name")

// detectSystem reads facts about the machine. Without a host name there is nothing.
func detectSystem(ctx context.Context, h *Host, o Options, r *Resource) error {
	name, err := h.hostnameFrom(ctx, o.HostnameSources)
	if err != nil {
		return err
	}
	r.setAll("host.name", name, "os.type", osType(runtime.GOOS), "host.arch", hostArch(runtime.GOARCH))
	if err := setNetwork(o, r); err != nil {
		return err
	}
	for _, fact := range []struct {
		key string
		get func() (string, error)
	}{
		{"host.id", func() (string, error) { return sdkFact(ctx, resource.WithHostID(), "host.id") }},
		{"os.description", func() (string, error) { return sdkFact(ctx, resource.WithOSDescription(), "os.description") }},
		{"os.name", func() (string, error) { p, err := h.platform(); return p.name, err }},
		{"os.version", func() (string, error) { p, err := h.platform(); return p.version, err }},
		{"os.build.id", h.buildID},
	} {
		if !o.Wanted(fact.key) {
			continue
		}
		value, err := fact.get()
		if err != nil {
			o.Log.Warn("an attribute of the system detector is left out", "attribute", fact.key, "error", err)
			continue
		}
		r.Set(fact.key, value)
	}
	setCPU(h, o, r)
	return nil
}

// osType returns the name of an operating system in the semantic conventions.
func osType(goos string) string {
	switch goos {
	case "dragonfly":
		return "dragonflybsd"
	case "zos":
		return "z_os"
	}
	return goos
}

// hostArch returns the name of an architecture in the semantic conventions.
func hostArch(goarch string) string {
	switch goarch {
	case "arm":
		return "arm32"
	case "ppc64le":
		return "ppc64"
	case "386":
		return "x86"
	}
	return goarch
}

// sdkFact returns an attribute that OpenTelemetry's SDK reads.
func sdkFact(ctx context.Context, option resource.Option, key attribute.Key) (string, error) {
	res, err := resource.New(ctx, option)
	if err != nil {
		return "", err
	}
	if v, ok := res.Set().Value(key); ok && v.AsString() != "" {
		return v.AsString(), nil
	}
	return "", errors.New("the system has none")
}

// setNetwork sets the addresses of the interfaces that are up, without loopback, and the
// names of all interfaces.
func setNetwork(o Options, r *Resource) error {
	if !o.wantsAny("host.ip", "host.mac", "host.interface") {
		return nil
	}
	all, err := net.Interfaces()
	if err != nil {
		return fmt.Errorf("list the network interfaces: %w", err)
	}
	ips, macs, names := []string{}, []string{}, []string{}
	for _, i := range all {
		names = append(names, i.Name)
		if i.Flags&net.FlagUp == 0 || i.Flags&net.FlagLoopback != 0 {
			continue
		}
		macs = append(macs, strings.ToUpper(strings.ReplaceAll(i.HardwareAddr.String(), ":", "-")))
		addrs, err := i.Addrs()
		if err != nil {
			return fmt.Errorf("list the addresses of interface %s: %w", i.Name, err)
		}
		for _, a := range addrs {
			if ip, _, err := net.ParseCIDR(a.String()); err == nil && !ip.IsLoopback() {
				ips = append(ips, ip.String())
			}
		}
	}
	r.Set("host.ip", ips)
	r.Set("host.mac", macs)
	r.Set("host.interface", names)
	return nil
}

// hostnameFrom returns the name that the first of the sources has.
func (h *Host) hostnameFrom(ctx context.Context, sources []string) (string, error) {
	if len(sources) == 0 {
		sources = []string{"dns", "os"}
	}
	name, err := h.Hostname()
	if err != nil {
		return "", fmt.Errorf("read the host name: %w", err)
	}
	from := map[string]func(context.Context, string) (string, error){
		"os":     func(_ context.Context, name string) (string, error) { return name, nil },
		"dns":    h.fqdn,
		"cname":  h.cname,
		"lookup": h.reverse,
	}
	problems := []error{errNoHostname}
	for _, source := range sources {
		found, err := from[source](ctx, name)
		if err == nil {
			return found, nil
		}
		problems = append(problems, fmt.Errorf("%s: %w", source, err))
	}
	return "", errors.Join(problems...)
}

// fqdn returns the full name of the machine: the first name of the line of /etc/hosts that
// has name, else what DNS says.
func (h *Host) fqdn(ctx context.Context, name string) (string, error) {
	if full := h.hostsFile(name); full != "" {
		return full, nil
	}
	if full, err := h.cname(ctx, name); err == nil && full != "" {
		return full, nil
	}
	return h.reverse(ctx, name)
}

func (h *Host) hostsFile(name string) string {
	text, err := h.ReadFile("/etc/hosts")
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(text)) {
		line, _, _ = strings.Cut(line, "#")
		fields := strings.Fields(line)
		for i := 1; i < len(fields); i++ {
			if fields[i] == name {
				return fields[1]
			}
		}
	}
	return ""
}

func (h *Host) cname(ctx context.Context, name string) (string, error) {
	full, err := h.Resolver.LookupCNAME(ctx, name)
	return strings.TrimRight(full, "."), err
}

// reverse returns the name of the first address of the machine that has one.
func (h *Host) reverse(ctx context.Context, name string) (string, error) {
	addrs, err := h.Resolver.LookupHost(ctx, name)
	if err != nil {
		return "", err
	}
	err = fmt.Errorf("%s has no address", name)
	for _, a := range addrs {
		names, problem := h.Resolver.LookupAddr(ctx, a)
		if problem == nil && len(names) > 0 {
			return strings.TrimRight(names[0], "."), nil
		}
		err = fmt.Errorf("no address of %s has a name: %w", name, problem)
	}
	return "", err
}

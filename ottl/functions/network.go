package functions

import (
	"bytes"
	"crypto/sha1" //nolint:gosec // part of the format
	"encoding/base64"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/penstock-telemetry/penstock/ottl"
)

var isInCIDR = ottl.Function{Name: "IsInCIDR", Params: ottl.P("target", "networks"), Pure: true, Test: func(a *ottl.Args) (func(*env) (bool, error), error) {
	target, err := a.String(0)
	if err != nil {
		return nil, err
	}
	networks, err := networksArg(a, 1)
	return func(e *env) (bool, error) {
		v, err := target(e)
		if err != nil {
			return false, err
		}
		ip, ok := parseAddress(v.Bytes())
		if !ok {
			return false, nil
		}
		for _, network := range networks {
			p, err := network(e)
			if err != nil {
				return false, err
			}
			if p.Contains(ip.Unmap()) {
				return true, nil
			}
		}
		return false, nil
	}, err
}}

// parseAddress returns the address that a text is. It allocates nothing for one of IPv4.
func parseAddress(text []byte) (netip.Addr, bool) {
	var parts [4]byte
	n, digits := 0, 0
	for _, c := range text {
		switch {
		case c == '.' && digits > 0 && n < 3:
			n, digits = n+1, 0
			continue
		case c < '0' || c > '9' || digits > 0 && parts[n] == 0 || int(parts[n])*10+int(c-'0') > 255:
			ip, err := netip.ParseAddr(string(text))
			return ip, err == nil && ip.Zone() == ""
		}
		parts[n] = parts[n]*10 + c - '0'
		digits++
	}
	return netip.AddrFrom4(parts), n == 3 && digits > 0
}

// networksArg returns argument i, a list of networks.
func networksArg(a *ottl.Args, i int) (networks []func(*env) (netip.Prefix, error), err error) {
	gets, ok, err := a.Elements(i)
	if err == nil && !ok {
		err = a.Errorf(i, "expected a list of networks")
	}
	if err != nil {
		return nil, err
	}
	_, literal := a.Constant(i)
	for _, get := range gets {
		network := func(e *env) (netip.Prefix, error) {
			v, err := get(e)
			if err == nil && v.Kind() != ottl.KindString {
				err = unsupported(v, "a network, such as \"10.0.0.0/8\"")
			}
			if err != nil {
				return netip.Prefix{}, err
			}
			return parseNetwork(string(v.Bytes()))
		}
		if literal {
			p, err := network(ottl.NewEnv())
			if err != nil {
				return nil, a.Errorf(i, "%w", err)
			}
			network = func(*env) (netip.Prefix, error) { return p, nil }
		}
		networks = append(networks, network)
	}
	return networks, nil
}

func parseNetwork(text string) (netip.Prefix, error) {
	_, n, err := net.ParseCIDR(text)
	if err != nil {
		return netip.Prefix{}, err
	}
	ip, _ := netip.AddrFromSlice(n.IP)
	ones, _ := n.Mask.Size()
	return netip.PrefixFrom(ip, ones), nil
}

var parseURL = ottl.Function{Name: "URL", Params: ottl.P("url"), Pure: true, Convert: func(a *ottl.Args) (ottl.Getter, error) {
	target, err := a.String(0)
	return func(e *env) (value, error) {
		v, err := target(e)
		if err != nil {
			return value{}, err
		}
		text := string(v.Bytes())
		switch {
		case text == "":
			return value{}, errors.New("the URL is empty")
		case text[0] == '?':
			return queryMap(text[1:])
		}
		return urlMap(text)
	}, err
}}

// urlMap returns the parts of a URL by the names of the semantic conventions.
func urlMap(text string) (value, error) {
	u, err := url.Parse(text)
	if err != nil {
		return value{}, err
	}
	var b ottl.MapBuilder
	add := func(key, text string) { b.Add([]byte(key), ottl.OfString(text)) }
	addIf := func(key, text string) {
		if text != "" {
			add(key, text)
		}
	}
	add("url.original", u.String())
	add("url.domain", u.Hostname())
	add("url.scheme", u.Scheme)
	add("url.path", u.Path)
	if p := u.Port(); p != "" {
		n, err := strconv.Atoi(p)
		if err != nil {
			return value{}, err
		}
		b.Add([]byte("url.port"), ottl.OfInt(int64(n)))
	}
	addIf("url.fragment", u.Fragment)
	if u.User != nil {
		add("url.user_info", u.User.String())
		addIf("url.username", u.User.Username())
		if password, ok := u.User.Password(); ok {
			add("url.password", password)
		}
	}
	addIf("url.query", u.RawQuery)
	if i := strings.LastIndexByte(u.Path, '.'); i >= 0 {
		addIf("url.extension", u.Path[i+1:])
	}
	return b.Value(), nil
}

// queryMap returns the parameters of a query with their values.
func queryMap(text string) (value, error) {
	query, err := url.ParseQuery(text)
	if err != nil || len(query) == 0 {
		return ottl.OfFields(ottl.KindMap, nil), err
	}
	names := make([]string, 0, len(query))
	for name := range query {
		names = append(names, name)
	}
	slices.Sort(names)
	var params ottl.MapBuilder
	for _, name := range names {
		var list ottl.ListBuilder
		for _, v := range query[name] {
			list.Add(ottl.OfString(v))
		}
		params.Add([]byte(name), list.Value())
	}
	var b ottl.MapBuilder
	b.Add([]byte("query"), params.Value())
	return b.Value(), nil
}

// communityProtocols are the numbers of the protocols of a CommunityID.
var communityProtocols = map[string]byte{"ICMP": 1, "TCP": 6, "UDP": 17, "RSVP": 46, "ICMP6": 58, "SCTP": 132}

var communityID = ottl.Function{
	Name:   "CommunityID",
	Params: ottl.P("source_ip", "source_port", "destination_ip", "destination_port", "protocol?", "seed?"),
	Pure:   true,
	Convert: func(a *ottl.Args) (ottl.Getter, error) {
		gets := make([]ottl.Getter, 6)
		for i, get := range []func(int) (ottl.Getter, error){a.String, a.Int, a.String, a.Int, a.String, a.Int} {
			if !a.Has(i) {
				continue
			}
			var err error
			if gets[i], err = get(i); err != nil {
				return nil, err
			}
		}
		return func(e *env) (value, error) {
			vals := [6]value{4: ottl.OfText([]byte("TCP")), 5: ottl.OfInt(0)}
			for i, get := range gets {
				if get == nil {
					continue
				}
				var err error
				if vals[i], err = get(e); err != nil {
					return value{}, err
				}
			}
			return flowID(vals)
		}, nil
	},
}

// flowID returns version 1 of the community ID of a flow: see
// https://github.com/corelight/community-id-spec.
func flowID(vals [6]value) (value, error) {
	source, err := endpoint(vals[0], vals[1])
	if err != nil {
		return value{}, errorf("the source of a flow: %w", err)
	}
	destination, err := endpoint(vals[2], vals[3])
	if err != nil {
		return value{}, errorf("the destination of a flow: %w", err)
	}
	protocol, ok := communityProtocols[string(vals[4].Bytes())]
	seed := vals[5].Int()
	switch {
	case !ok:
		return value{}, errorf("the protocol %.100q of a flow is unknown", vals[4].Bytes())
	case seed < 0 || seed > 65535:
		return value{}, errorf("the seed %d is not between 0 and 65535", seed)
	}
	if after(source, destination) {
		source, destination = destination, source
	}
	flow := binary.BigEndian.AppendUint16(nil, uint16(seed))
	flow = append(append(flow, source.ip...), destination.ip...)
	flow = append(flow, protocol, 0)
	flow = binary.BigEndian.AppendUint16(flow, source.port)
	flow = binary.BigEndian.AppendUint16(flow, destination.port)
	sum := sha1.Sum(flow) //nolint:gosec // see above
	return ottl.OfText(base64.StdEncoding.AppendEncode([]byte("1:"), sum[:])), nil
}

// address is one end of a flow.
type address struct {
	ip   []byte
	port uint16
}

func endpoint(ip, port value) (address, error) {
	parsed := net.ParseIP(string(ip.Bytes()))
	switch {
	case port.Int() < 0 || port.Int() > 65535:
		return address{}, errorf("the port %d is not between 0 and 65535", port.Int())
	case parsed == nil:
		return address{}, errorf("%.100q is not an IP address", ip.Bytes())
	}
	if v4 := parsed.To4(); v4 != nil {
		parsed = v4
	}
	return address{parsed, uint16(port.Int())}, nil
}

// after reports whether a is behind b in the order of a flow's ends.
func after(a, b address) bool {
	if len(a.ip) != len(b.ip) {
		return len(a.ip) > len(b.ip)
	}
	c := bytes.Compare(a.ip, b.ip)
	return c > 0 || c == 0 && a.port > b.port
}

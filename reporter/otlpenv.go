package reporter

import (
	"errors"
	"slices"

	"github.com/penstock-telemetry/penstock/internal/otelenv"
	"github.com/penstock-telemetry/penstock/libpf"
)

// withEnvironment sets the fields that are not set from the environment. A Consumer is in
// this process, and what it gets is not about it.
func (c OTLPConfig) withEnvironment() (OTLPConfig, error) {
	if c.NoEnvironment || c.Consumer != nil {
		return c, nil
	}
	env := otelenv.Env{Signal: "PROFILES", Lookup: c.lookup}
	var errs []error
	if c.Endpoint == "" {
		to, err := env.Endpoint()
		errs = append(errs, err)
		c.Endpoint, c.ProfilesURL, c.Insecure = to.Address, to.SignalURL, c.Insecure || to.Insecure
	}
	for _, text := range []struct {
		of  *string
		key string
	}{{&c.Compression, "COMPRESSION"}, {&c.CAFile, "CERTIFICATE"}, {&c.CertFile, "CLIENT_CERTIFICATE"}, {&c.KeyFile, "CLIENT_KEY"}} {
		if *text.of == "" {
			*text.of, _ = env.Exporter(text.key)
		}
	}
	if timeout, name := env.Exporter("TIMEOUT"); c.Timeout == 0 && timeout != "" {
		d, err := otelenv.Milliseconds(timeout)
		if err != nil {
			errs = append(errs, otelenv.Wrong(name, err))
		}
		c.Timeout = d
	}
	if list, name := env.Exporter("HEADERS"); c.Headers == nil && list != "" {
		pairs, err := otelenv.Pairs(list)
		if err != nil {
			errs = append(errs, otelenv.Wrong(name, err))
		}
		c.Headers = map[string]string{}
		for _, p := range pairs {
			c.Headers[p.Name] = p.Value
		}
	}
	c, err := c.withResource(env)
	return c, errors.Join(append(errs, err)...)
}

// withResource adds the attributes of the environment that Resource does not have.
func (c OTLPConfig) withResource(env otelenv.Env) (OTLPConfig, error) {
	pairs, err := env.Resource()
	list := make([]libpf.Attribute, 0, len(pairs))
	for _, p := range pairs {
		list = append(list, libpf.StringAttr(p.Name, p.Value))
	}
	c.Resource = libpf.NewAttributes(append(list, slices.Collect(c.Resource.All())...)...)
	return c, err
}

package selfobs

import (
	"errors"
	"fmt"
	"slices"

	"go.opentelemetry.io/otel/attribute"
	sdkresource "go.opentelemetry.io/otel/sdk/resource"

	"github.com/penstock-telemetry/penstock/config"
)

// ResourceConfig has the resource attributes of penstock's own telemetry. The
// Collector accepts two forms: attributes by name, where null removes a default,
// or the key "attributes" with a list of name and value.
type ResourceConfig struct {
	attributes []attribute.KeyValue
	listed     bool     // written in the second form
	without    []string // removed defaults, only in the first form
	detectors  ignoredKey
}

// DecodeConfig implements config.Decoder.
func (r *ResourceConfig) DecodeConfig(v config.Value) error {
	if v.Kind() == config.Null {
		return nil
	}
	var errs config.Errors
	var single config.Value
	*r = ResourceConfig{}
	if v.Kind() != config.Map {
		var m map[string]any
		return v.Decode(&m)
	}
	for c := range v.Values() {
		switch c.Key() {
		case "attributes":
			r.listed = true
			errs.Add(r.list(c))
		case "attributes_list":
			errs.Add(c.KeyErrorf("not supported; write the list under attributes, as name and value"))
		case "schema_url":
			var url string
			errs.Add(c.Decode(&url))
		case "detectors", "detection/development":
			errs.Add(r.detectors.DecodeConfig(c))
		default:
			errs.Add(r.single(c))
			single = c
		}
	}
	if r.listed && single != nil {
		errs.Add(single.KeyErrorf("expected it in the list under attributes, since there is one"))
	}
	return errs.Err()
}

func (r *ResourceConfig) single(v config.Value) error {
	if v.Kind() == config.Null {
		r.without = append(r.without, v.Key())
		return nil
	}
	var value string
	if err := v.Decode(&value); err != nil {
		return err
	}
	r.attributes = append(r.attributes, attribute.String(v.Key(), value))
	return nil
}

func (r *ResourceConfig) list(v config.Value) error {
	var list []resourceAttribute
	if err := v.Decode(&list); err != nil {
		return err
	}
	for _, a := range list {
		r.attributes = append(r.attributes, a.keyValue())
	}
	return nil
}

// resourceAttribute is an item of service.telemetry.resource.attributes.
type resourceAttribute struct {
	Name  string `yaml:"name"`
	Value any    `yaml:"value"`
	Type  string `yaml:"type,omitempty"` // if empty, the type of the value in YAML
}

// Validate requires a name, and a value that is not a map.
func (a *resourceAttribute) Validate() error {
	if a.Name == "" {
		return errors.New("expected a name")
	}
	if _, isMap := a.Value.(map[string]any); isMap || a.Value == nil {
		return config.At("value", errors.New("expected text, a number, true or false, or a list of them"))
	}
	return nil
}

func (a *resourceAttribute) keyValue() attribute.KeyValue {
	switch v := a.Value.(type) {
	case bool:
		return attribute.Bool(a.Name, v)
	case int:
		return attribute.Int(a.Name, v)
	case float64:
		return attribute.Float64(a.Name, v)
	case []any:
		items := make([]string, len(v))
		for i, item := range v {
			items[i] = fmt.Sprint(item)
		}
		return attribute.StringSlice(a.Name, items)
	}
	return attribute.String(a.Name, fmt.Sprint(a.Value))
}

// MarshalYAML writes the same form that was read.
func (r ResourceConfig) MarshalYAML() (any, error) {
	m := map[string]any{}
	if r.listed {
		list := []resourceAttribute{}
		for _, kv := range r.attributes {
			list = append(list, resourceAttribute{Name: string(kv.Key), Value: kv.Value.AsInterface()})
		}
		m["attributes"] = list
		return m, nil
	}
	for _, kv := range r.attributes {
		m[string(kv.Key)] = kv.Value.String()
	}
	for _, key := range r.without {
		m[key] = nil
	}
	return m, nil
}

// Build returns the resource with the default attributes service.name,
// service.version and service.instance.id added.
func (r *ResourceConfig) Build(version, instanceID string) *sdkresource.Resource {
	all := []attribute.KeyValue{
		attribute.String("service.name", "penstock"),
		attribute.String("service.version", version),
		attribute.String("service.instance.id", instanceID),
	}
	all = slices.DeleteFunc(all, func(kv attribute.KeyValue) bool { return slices.Contains(r.without, string(kv.Key)) })
	return sdkresource.NewSchemaless(append(all, r.attributes...)...) // for equal keys the last one is used
}

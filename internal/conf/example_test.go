package conf_test

import (
	"fmt"
	"time"

	"github.com/penstock-telemetry/penstock/config"
	"github.com/penstock-telemetry/penstock/internal/conf"
	"github.com/penstock-telemetry/penstock/internal/suggest"
)

type exporterConfig struct {
	Endpoint string        `yaml:"endpoint"`
	Timeout  time.Duration `yaml:"timeout"`
	Token    config.Secret `yaml:"token,omitempty"`
}

func (c *exporterConfig) Validate() error {
	if c.Endpoint == "" {
		return config.Atf("endpoint", "must be set")
	}
	return nil
}

func Example() {
	file := `exporters:
  otlp:
    endpoint: ${env:HOST:-localhost}:4317
    token: secret
  otlp/2: {timeout: 3s}
  oltp: {}
`
	tree, err := conf.Load(conf.Options{
		Sources:  []string{"penstock.yaml"},
		Set:      []string{"exporters.otlp/2.timout=1s"},
		ReadFile: func(string) ([]byte, error) { return []byte(file), nil },
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	var problems conf.Errors
	for _, n := range tree.Root().Get("exporters").Children() {
		switch n.Key() {
		case "otlp", "otlp/2":
			cfg := exporterConfig{Timeout: 5 * time.Second}
			problems.Add(n.Decode(&cfg))
			fmt.Printf("%+v\n", cfg)
		default:
			problems.Add(n.KeyErrorf("unknown exporter%s", suggest.Known(n.Key(), []string{"debug", "otlp"})))
		}
	}
	fmt.Println(problems.Err())
	// Output:
	// {Endpoint:localhost:4317 Timeout:5s Token:[REDACTED]}
	// {Endpoint: Timeout:3s Token:[REDACTED]}
	// penstock.yaml:6:3: exporters.oltp: unknown exporter, did you mean "otlp"? (known: debug, otlp)
	// --set exporters.otlp/2.timout: exporters.otlp/2.timout: unknown key, did you mean "timeout"? (known: endpoint, timeout, token)
}

package selfobs

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/penstock-telemetry/penstock/internal/conf"
	"go.opentelemetry.io/otel/attribute"
)

func TestResource(t *testing.T) {
	t.Parallel()
	for yaml, want := range map[string]string{
		"":                                  "service.instance.id=i,service.name=penstock,service.version=v",
		"{}":                                "service.instance.id=i,service.name=penstock,service.version=v",
		"{service.name: mine, team: water}": "service.instance.id=i,service.name=mine,service.version=v,team=water",
		"{service.instance.id: null, service.version: }":                                                             "service.name=penstock",
		"{schema_url: 'https://x', attributes: [{name: service.name, value: mine}, {name: n, value: 1, type: int}]}": "n=1,service.instance.id=i,service.name=mine,service.version=v",
		"{attributes: [{name: b, value: true}, {name: f, value: 1.5}, {name: l, value: [x, y]}]}":                    `b=true,f=1.5,l=["x"\,"y"],service.instance.id=i,service.name=penstock,service.version=v`,
	} {
		// Read the configuration, then read its printed form.
		text := "{resource: " + yaml + "}"
		for range 2 {
			cfg := decode(t, text)
			got := cfg.Resource.Build("v", "i").Set().Encoded(attribute.DefaultEncoder())
			if diff := cmp.Diff(strings.ReplaceAll(want, `\,`, ","), strings.ReplaceAll(got, `\,`, ",")); diff != "" {
				t.Errorf("%s (-want +got):\n%s", yaml, diff)
			}
			printed, err := conf.Marshal(cfg)
			if err != nil {
				t.Fatal(err)
			}
			text = string(printed)
		}
	}
}

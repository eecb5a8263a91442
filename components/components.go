// Package components lists the components of the penstock binary. A program with
// other or fewer components sets its own list in service.Options; it links only
// those.
package components

import (
	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/connector/countconnector"
	"github.com/penstock-telemetry/penstock/connector/routingconnector"
	"github.com/penstock-telemetry/penstock/exporter/debugexporter"
	"github.com/penstock-telemetry/penstock/exporter/fileexporter"
	"github.com/penstock-telemetry/penstock/exporter/nopexporter"
	"github.com/penstock-telemetry/penstock/exporter/otlpexporter"
	"github.com/penstock-telemetry/penstock/exporter/otlphttpexporter"
	"github.com/penstock-telemetry/penstock/extension/basicauthextension"
	"github.com/penstock-telemetry/penstock/extension/bearertokenauthextension"
	"github.com/penstock-telemetry/penstock/extension/filestorageextension"
	"github.com/penstock-telemetry/penstock/extension/headerssetterextension"
	"github.com/penstock-telemetry/penstock/extension/healthcheckextension"
	"github.com/penstock-telemetry/penstock/extension/oauth2clientextension"
	"github.com/penstock-telemetry/penstock/extension/oidcextension"
	"github.com/penstock-telemetry/penstock/extension/pprofextension"
	"github.com/penstock-telemetry/penstock/extension/zpagesextension"
	"github.com/penstock-telemetry/penstock/processor/attributesprocessor"
	"github.com/penstock-telemetry/penstock/processor/batchprocessor"
	"github.com/penstock-telemetry/penstock/processor/filterprocessor"
	"github.com/penstock-telemetry/penstock/processor/memorylimiterprocessor"
	"github.com/penstock-telemetry/penstock/processor/metricstransformprocessor"
	"github.com/penstock-telemetry/penstock/processor/probabilisticsamplerprocessor"
	"github.com/penstock-telemetry/penstock/processor/redactionprocessor"
	"github.com/penstock-telemetry/penstock/processor/resourcedetectionprocessor"
	"github.com/penstock-telemetry/penstock/processor/resourceprocessor"
	"github.com/penstock-telemetry/penstock/processor/spanprocessor"
	"github.com/penstock-telemetry/penstock/processor/transformprocessor"
	"github.com/penstock-telemetry/penstock/receiver/collectionagentreceiver"
	"github.com/penstock-telemetry/penstock/receiver/nopreceiver"
	"github.com/penstock-telemetry/penstock/receiver/otlpreceiver"
	"github.com/penstock-telemetry/penstock/receiver/pprofreceiver"
)

// Default returns the components of the penstock binary, by kind and then by name.
func Default() []component.Descriptor {
	return []component.Descriptor{
		collectionagentreceiver.Component(),
		nopreceiver.Component(),
		otlpreceiver.Component(),
		pprofreceiver.Component(),

		attributesprocessor.Component(),
		batchprocessor.Component(),
		filterprocessor.Component(),
		memorylimiterprocessor.Component(),
		metricstransformprocessor.Component(),
		probabilisticsamplerprocessor.Component(),
		redactionprocessor.Component(),
		resourceprocessor.Component(),
		resourcedetectionprocessor.Component(),
		spanprocessor.Component(),
		transformprocessor.Component(),

		debugexporter.Component(),
		fileexporter.Component(),
		debugexporter.LoggingComponent(),
		nopexporter.Component(),
		otlpexporter.Component(),
		otlphttpexporter.Component(),

		countconnector.Component(),
		component.OfForward("forward"),
		routingconnector.Component(),

		basicauthextension.Component(),
		bearertokenauthextension.Component(),
		filestorageextension.Component(),
		headerssetterextension.Component(),
		healthcheckextension.Component(),
		memorylimiterprocessor.Extension(),
		oauth2clientextension.Component(),
		oidcextension.Component(),
		pprofextension.Component(),
		zpagesextension.Component(),
	}
}

package load

import (
	"fmt"
	"slices"
	"strings"
)

// A FeatureGate is one of the Collector's feature gates. It cannot be changed here.
type FeatureGate struct {
	ID          string
	Enabled     bool // what it is about exists here
	Description string
}

// Features returns the Collector's feature gates that have no effect here: what they
// enable is always on, or does not exist.
func Features() []FeatureGate {
	return []FeatureGate{
		{"confmap.enableMergeAppendOption", false, "lists of several sources are appended; here the last list is used"},
		{"pdata.useProtoPooling", true, "memory of requests is used again"},
		{"receiverhelper.newReceiverMetrics", true, "failures of pipelines are counted apart from refused requests"},
		{"service.AllowNoPipelines", false, "a configuration without pipelines is valid"},
		{"service.partialReload", true, "a changed configuration replaces only what differs"},
		{"service.partialReloadReceivers", true, "the same for receivers"},
		{"service.profilesSupport", true, "pipelines of profiles"},
		{"telemetry.newPipelineTelemetry", true, "processors are measured by the pipeline"},
	}
}

// FeatureGates returns the ids of Features.
func FeatureGates() []string {
	var ids []string
	for _, g := range Features() {
		ids = append(ids, g.ID)
	}
	return ids
}

// CheckFeatureGates reads a list of feature gates as the Collector does,
// "+service.profilesSupport,-other", and returns a warning for each that is not
// known. No feature gate changes anything yet.
func CheckFeatureGates(list string) (warnings []string) {
	for gate := range strings.SplitSeq(list, ",") {
		id := strings.TrimLeft(strings.TrimSpace(gate), "+-")
		if id != "" && !slices.Contains(FeatureGates(), id) {
			warnings = append(warnings, fmt.Sprintf("the feature gate %q is not known; it is ignored", id))
		}
	}
	return warnings
}

package load

import (
	"fmt"
	"slices"
	"strings"
)

// FeatureGates returns the Collector's feature gates that have no effect here:
// what they enable is always on, or does not exist.
func FeatureGates() []string {
	return []string{
		"confmap.enableMergeAppendOption",
		"pdata.useProtoPooling",
		"receiverhelper.newReceiverMetrics",
		"service.AllowNoPipelines",
		"service.partialReload",
		"service.partialReloadReceivers",
		"service.profilesSupport",
		"telemetry.newPipelineTelemetry",
	}
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

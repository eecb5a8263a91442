package metricstransformprocessor

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/penstock-telemetry/penstock/config"
	"github.com/penstock-telemetry/penstock/internal/suggest"
	"github.com/penstock-telemetry/penstock/processor/metricstransformprocessor/internal/aggregate"
)

// Config is the processor's configuration, with the Collector's keys.
type Config struct {
	// Transforms are applied one after the other.
	Transforms []Transform `yaml:"transforms"`
}

// Transform selects metrics and says what becomes of them.
type Transform struct {
	// Include is the name of a metric, or a regular expression over names.
	Include string `yaml:"include"`
	// MatchType is strict, which is the default, or regexp.
	MatchType string `yaml:"match_type,omitempty"`
	// MatchLabels are values that attributes of a data point must have, or regular
	// expressions over them. Empty also matches an attribute that is not there.
	MatchLabels map[string]string `yaml:"experimental_match_labels,omitempty"`
	// Action is insert (of a changed copy), update, combine (all into one metric) or group
	// (into a resource of their own).
	Action string `yaml:"action"`
	// NewName is the new name, which may refer to groups of Include: $1, ${name}.
	NewName string `yaml:"new_name,omitempty"`
	// GroupResourceLabels are set on the resource of a group.
	GroupResourceLabels map[string]string `yaml:"group_resource_labels,omitempty"`
	// AggregationType is how combine joins points with the same attributes and time: sum,
	// mean, min, max, median, count.
	AggregationType string `yaml:"aggregation_type,omitempty"`
	// SubmatchCase is upper or lower: what combine makes of the texts of groups of Include.
	SubmatchCase string `yaml:"submatch_case,omitempty"`
	// Operations are applied to each metric that results.
	Operations []Operation `yaml:"operations,omitempty"`
}

// Operation changes the data points of a metric.
type Operation struct {
	// Action is add_label, update_label, delete_label_value, toggle_scalar_data_type,
	// experimental_scale_value, aggregate_labels or aggregate_label_values.
	Action string `yaml:"action"`
	// Label is the attribute that is changed.
	Label string `yaml:"label,omitempty"`
	// NewLabel is its new key, or that of an attribute to add.
	NewLabel string `yaml:"new_label,omitempty"`
	// LabelSet are the attributes that aggregate_labels keeps.
	LabelSet []string `yaml:"label_set,omitempty"`
	// AggregationType is how points are joined that become the same.
	AggregationType string `yaml:"aggregation_type,omitempty"`
	// AggregatedValues are the values that aggregate_label_values replaces by NewValue.
	AggregatedValues []string `yaml:"aggregated_values,omitempty"`
	// NewValue is the value of an attribute that is added, or of those that are replaced.
	// {{version}} in it is the version of the program.
	NewValue string `yaml:"new_value,omitempty"`
	// ValueActions replace values of Label.
	ValueActions []ValueAction `yaml:"value_actions,omitempty"`
	// Scale is what experimental_scale_value multiplies with.
	Scale float64 `yaml:"experimental_scale,omitempty"`
	// LabelValue is the value whose points delete_label_value drops.
	LabelValue string `yaml:"label_value,omitempty"`
}

// ValueAction replaces a value.
type ValueAction struct {
	Value    string `yaml:"value"`
	NewValue string `yaml:"new_value"`
}

// DefaultConfig returns the configuration of an empty section, which changes nothing.
func DefaultConfig() Config { return Config{} }

const (
	actionInsert  = "insert"
	actionUpdate  = "update"
	actionCombine = "combine"
	actionGroup   = "group"

	matchStrict = "strict"
	matchRegexp = "regexp"

	addLabel             = "add_label"
	updateLabel          = "update_label"
	deleteLabelValue     = "delete_label_value"
	toggleScalarDataType = "toggle_scalar_data_type"
	scaleValue           = "experimental_scale_value"
	aggregateLabels      = "aggregate_labels"
	aggregateLabelValues = "aggregate_label_values"
)

var (
	actions    = []string{actionInsert, actionUpdate, actionCombine, actionGroup}
	matchTypes = []string{matchStrict, matchRegexp}
	cases      = []string{"lower", "upper"}
	operations = []string{addLabel, updateLabel, deleteLabelValue, toggleScalarDataType, scaleValue, aggregateLabels, aggregateLabelValues}
)

// known returns an error unless value is one of list, or empty where that is allowed.
func known(key, value string, optional bool, list []string) error {
	if optional && value == "" || slices.Contains(list, value) {
		return nil
	}
	if value == "" {
		return config.Atf(key, "expected one of %s, found none", strings.Join(list, ", "))
	}
	return config.Atf(key, "unknown %s %q%s", strings.ReplaceAll(key, "_", " "), value, suggest.Known(value, list))
}

func functions() (names []string) {
	for _, f := range aggregate.Funcs {
		names = append(names, string(f))
	}
	return names
}

func missing(key, action string) error { return config.Atf(key, "%s needs a %s", action, key) }

// Validate checks a transform. Each Operation has its own Validate.
func (t *Transform) Validate() error {
	problems := []error{
		known("match_type", t.MatchType, true, matchTypes), known("action", t.Action, false, actions),
		known("aggregation_type", t.AggregationType, true, functions()), known("submatch_case", t.SubmatchCase, true, cases),
	}
	if t.Include == "" {
		problems = append(problems, config.Atf("include", "expected the name of a metric, found none"))
	}
	if t.MatchType == matchRegexp {
		_, err := regexp.Compile(t.Include)
		problems = append(problems, config.At("include", err))
		for _, text := range t.MatchLabels {
			_, err := regexp.Compile(text)
			problems = append(problems, config.At("experimental_match_labels", err))
		}
	}
	if (t.Action == actionInsert || t.Action == actionCombine) && t.NewName == "" {
		problems = append(problems, missing("new_name", t.Action))
	}
	if t.Action == actionCombine && t.AggregationType == "" {
		problems = append(problems, missing("aggregation_type", t.Action))
	}
	if t.Action == actionGroup && t.GroupResourceLabels == nil {
		problems = append(problems, missing("group_resource_labels", t.Action))
	}
	return errors.Join(problems...)
}

// Validate checks an operation.
func (o *Operation) Validate() error {
	problems := []error{known("action", o.Action, false, operations), known("aggregation_type", o.AggregationType, true, functions())}
	switch {
	case o.Action == updateLabel && o.Label == "":
		problems = append(problems, missing("label", o.Action))
	case o.Action == addLabel && o.NewLabel == "":
		problems = append(problems, missing("new_label", o.Action))
	case o.Action == addLabel && o.NewValue == "":
		problems = append(problems, missing("new_value", o.Action))
	case o.Action == scaleValue && o.Scale == 0:
		problems = append(problems, missing("experimental_scale", o.Action))
	}
	return errors.Join(problems...)
}

// validate checks all of a configuration that was not decoded.
func (c *Config) validate() error {
	for i := range c.Transforms {
		t := &c.Transforms[i]
		err := t.Validate()
		for j := range t.Operations {
			err = errors.Join(err, config.At(fmt.Sprintf("operations[%d]", j), t.Operations[j].Validate()))
		}
		if err != nil {
			return config.At(fmt.Sprintf("transforms[%d]", i), err)
		}
	}
	return nil
}

// Package actiontest is what the tests of the processors share that apply actions to
// attributes: the same actions on attributes that the official module has decoded.
package actiontest

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	"google.golang.org/protobuf/proto"

	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/processor/attraction"
	"github.com/penstock-telemetry/penstock/processor/internal/attrs"
)

// Apply returns a list of attributes after actions. table is the string table of the
// dictionary, nil for a signal without one.
func Apply(t testing.TB, list []*commonpb.KeyValue, actions []attraction.Action, table []string) []*commonpb.KeyValue {
	for _, a := range actions {
		list = oracleAction(t, list, a, table)
	}
	return list
}

func oracleAction(t testing.TB, list []*commonpb.KeyValue, a attraction.Action, table []string) []*commonpb.KeyValue {
	key := func(kv *commonpb.KeyValue) string {
		if i := kv.KeyStrindex; kv.Key == "" && i > 0 && int(i) < len(table) {
			return table[i]
		}
		return kv.Key
	}
	find := func(name string) int {
		return slices.IndexFunc(list, func(kv *commonpb.KeyValue) bool { return key(kv) == name })
	}
	at := find(a.Key)
	op := strings.ToLower(a.Action)
	if op == "delete" {
		if at >= 0 {
			list = slices.Delete(slices.Clone(list), at, at+1)
		}
		if a.Pattern != "" {
			re := regexp.MustCompile(a.Pattern)
			list = slices.DeleteFunc(slices.Clone(list), func(kv *commonpb.KeyValue) bool { return re.MatchString(key(kv)) })
		}
		return list
	}
	if op == "hash" || op == "extract" || op == "convert" {
		return oracleTransform(list, a, op, at, key, table)
	}
	value := oracleValue(t, a.Value)
	if from := find(a.FromAttribute); a.FromAttribute != "" && from >= 0 {
		value = list[from].Value
	} else if value == nil {
		if a.DefaultValue == nil {
			return list
		}
		value = oracleValue(t, a.DefaultValue)
	}
	switch {
	case at < 0 && op != "update":
		list = append(list, &commonpb.KeyValue{Key: a.Key, Value: value})
	case at >= 0 && op != "insert":
		list[at].Value = value
	}
	return list
}

func oracleValue(t testing.TB, v any) *commonpb.AnyValue {
	switch v := v.(type) {
	case nil:
		return nil
	case string:
		return &commonpb.AnyValue{Value: &commonpb.AnyValue_StringValue{StringValue: v}}
	case bool:
		return &commonpb.AnyValue{Value: &commonpb.AnyValue_BoolValue{BoolValue: v}}
	case int:
		return &commonpb.AnyValue{Value: &commonpb.AnyValue_IntValue{IntValue: int64(v)}}
	case float64:
		return &commonpb.AnyValue{Value: &commonpb.AnyValue_DoubleValue{DoubleValue: v}}
	case []any:
		array := &commonpb.ArrayValue{}
		for _, e := range v {
			array.Values = append(array.Values, oracleValue(t, e))
		}
		return &commonpb.AnyValue{Value: &commonpb.AnyValue_ArrayValue{ArrayValue: array}}
	}
	t.Fatalf("the oracle does not know %T", v)
	return nil
}

// oracleTransform is hash, extract and convert on decoded attributes. Lists and maps
// are left to TestTransforms: the oracle gives them the text of the views.
func oracleTransform(list []*commonpb.KeyValue, a attraction.Action, op string, at int, key func(*commonpb.KeyValue) string, table []string) []*commonpb.KeyValue {
	switch op {
	case "hash":
		if at >= 0 {
			list[at].Value = oracleHash(list[at].Value, table)
		}
		if a.Pattern != "" {
			re := regexp.MustCompile(a.Pattern)
			for _, kv := range list {
				if re.MatchString(key(kv)) {
					kv.Value = oracleHash(kv.Value, table)
				}
			}
		}
	case "extract":
		if at < 0 {
			break
		}
		text, ok := oracleText(list[at].Value, table)
		re := regexp.MustCompile(a.Pattern)
		match := re.FindStringSubmatch(text)
		if !ok || match == nil {
			break
		}
		for i, name := range re.SubexpNames()[1:] {
			found := false
			for _, kv := range list {
				if !found && key(kv) == name {
					kv.Value, found = stringValue(match[i+1]), true
				}
			}
			if !found {
				list = append(list, &commonpb.KeyValue{Key: name, Value: stringValue(match[i+1])})
			}
		}
	case "convert":
		if at >= 0 {
			list[at].Value = oracleConvert(list[at].Value, a.ConvertedType, table)
		}
	}
	return list
}

func stringValue(s string) *commonpb.AnyValue {
	return &commonpb.AnyValue{Value: &commonpb.AnyValue_StringValue{StringValue: s}}
}

func oracleText(v *commonpb.AnyValue, table []string) (string, bool) {
	switch v := v.GetValue().(type) {
	case *commonpb.AnyValue_StringValue:
		return v.StringValue, true
	case *commonpb.AnyValue_StringValueStrindex:
		if i := int(v.StringValueStrindex); i >= 0 && i < len(table) {
			return table[i], true
		}
		return "", table != nil
	}
	return "", false
}

// oracleOther is the text of a list or map as AppendText writes it.
func oracleOther(v *commonpb.AnyValue) string {
	return string(attrs.AppendText(nil, otlp.AnyValue(marshalled(v)).Resolve(nil)))
}

func marshalled(v *commonpb.AnyValue) []byte {
	b, err := proto.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}

func oracleHash(v *commonpb.AnyValue, table []string) *commonpb.AnyValue {
	content, isText := oracleText(v, table)
	switch x := v.GetValue().(type) {
	case *commonpb.AnyValue_BoolValue:
		content = map[bool]string{false: "\x00", true: "\x01"}[x.BoolValue]
	case *commonpb.AnyValue_IntValue:
		content = string(binary.LittleEndian.AppendUint64(nil, uint64(x.IntValue)))
	case *commonpb.AnyValue_DoubleValue:
		content = string(binary.LittleEndian.AppendUint64(nil, math.Float64bits(x.DoubleValue)))
	case *commonpb.AnyValue_BytesValue:
		content = string(x.BytesValue)
	case *commonpb.AnyValue_ArrayValue, *commonpb.AnyValue_KvlistValue:
		content = oracleOther(v)
	default:
		if !isText {
			content = ""
		}
	}
	if content == "" && !isText {
		return stringValue("")
	}
	sum := sha256.Sum256([]byte(content))
	return stringValue(hex.EncodeToString(sum[:]))
}

func oracleConvert(v *commonpb.AnyValue, to string, table []string) *commonpb.AnyValue {
	text, isText := oracleText(v, table)
	var i int64
	var f float64
	var err error
	switch x := v.GetValue().(type) {
	case *commonpb.AnyValue_BoolValue:
		if text = strconv.FormatBool(x.BoolValue); x.BoolValue {
			i, f = 1, 1
		}
	case *commonpb.AnyValue_IntValue:
		if to == "int" {
			return v
		}
		i, f, text = x.IntValue, float64(x.IntValue), strconv.FormatInt(x.IntValue, 10)
	case *commonpb.AnyValue_DoubleValue:
		if to == "double" || to == "int" && !(x.DoubleValue >= -1<<63 && x.DoubleValue < 1<<63) {
			return v
		}
		i, f, text = int64(x.DoubleValue), x.DoubleValue, string(attrs.AppendDouble(nil, x.DoubleValue))
	default:
		switch {
		case to == "string" && isText:
			return v
		case to == "string":
			return stringValue(oracleOther(v))
		case !isText:
			return v
		case to == "int":
			i, err = strconv.ParseInt(text, 10, 64)
		default:
			f, err = strconv.ParseFloat(text, 64)
		}
	}
	switch {
	case err != nil:
		return v
	case to == "string":
		return stringValue(text)
	case to == "int":
		return &commonpb.AnyValue{Value: &commonpb.AnyValue_IntValue{IntValue: i}}
	}
	return &commonpb.AnyValue{Value: &commonpb.AnyValue_DoubleValue{DoubleValue: f}}
}

// Plans are rows of actions that meet the words of testkit.Random and each other.
var Plans = [][]attraction.Action{
	{{Key: "a", Action: "insert", Value: "new"}},
	{{Key: "a", Action: "UPDATE", Value: 7}},
	{{Key: "service.name", Action: "upsert", Value: 2.5}},
	{{Key: "host.ip", Action: "delete"}},
	{{Key: "a", Action: "delete"}, {Key: "a", Action: "delete"}, {Key: "a", Action: "delete"}},
	{{Action: "delete", Pattern: "^host"}},
	{{Key: "a", Action: "delete", Pattern: "b|c"}, {Key: "b", Action: "insert", Value: true}},
	{{Key: "b", Action: "upsert", FromAttribute: "a"}, {Key: "a", Action: "delete"}},
	{{Key: "c", Action: "insert", FromAttribute: "never", DefaultValue: []any{"x", 1}}},
	{{Key: "new", Action: "insert", Value: "x"}, {Key: "newer", Action: "insert", FromAttribute: "new"}, {Key: "new", Action: "delete"}},
	{{Key: "new", Action: "insert", Value: "x"}, {Action: "delete", Pattern: "n"}, {Key: "new", Action: "update", Value: "y"}},
	{{Key: "a", Action: "hash"}, {Key: "b", Action: "hash"}, {Key: "b", Action: "HASH"}},
	{{Action: "hash", Pattern: "a|o"}, {Key: "b", Action: "delete"}, {Key: "b", Action: "hash", Pattern: "^b|^h"}, {Action: "delete", Pattern: "^k"}},
	{{Key: "service.name", Action: "extract", Pattern: "^(?P<first>.)(?P<a>.*?)(?P<rest>x)?$"}, {Key: "first", Action: "hash"}},
	{{Key: "a", Action: "convert", ConvertedType: "string"}, {Key: "b", Action: "convert", ConvertedType: "int"}, {Key: "service.name", Action: "convert", ConvertedType: "double"}},
	{{Key: "n", Action: "insert", Value: "12"}, {Key: "n", Action: "convert", ConvertedType: "int"}, {Key: "n", Action: "convert", ConvertedType: "double"}, {Key: "n", Action: "convert", ConvertedType: "string"}},
	{{Key: "a", Action: "update", Value: "1"}, {Key: "a", Action: "update", FromAttribute: "b"}, {Key: "b", Action: "update", FromAttribute: "a"}},
}

package amplify

import (
	"fmt"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"
)

var (
	// jsonNumbers are numbers in the forms that JSON allows.
	jsonNumbers = []string{
		"0", "-0", "1", "-1", "0.1", "1e5", "1E-5", "123456789", "4294967295", "9223372036854775807", "18446744073709551615",
		"1e18", "1000000000000000000000e-18", "0.000000000001e12", "100000000000e-11", "1.0000000000000000", "10000.0000",
		"5e-324", "2.2250738585072011e-308", "4.9406564584124654e-324", "1.7976931348623157e308", "1e-400", "9007199254740993",
		"0.3333333333333333", "3.141592653589793", "123456789012345678901234567890", "1.00000000000000011102230246251565404",
		"2.2250738585072013830902327173324040642192159804623318305533274168872044348139181958542831590125110205640673397310358110051524341615534601088560123853777188211307779935320023304796101474425836360719215650469425037342083752508066506166581589487204911796885916396485006359087701183048747997808877537499494515804516050509153998565824708186451135379358049921159810857660519924333521143523901487956996095912888916029926415110634663133936634775865130293717620473256317814856643508721228286376420448468114076139114770628016898532441100241614474216185671661505401542850847167529019031613227788967297073731233340869889831750678388469260949773200000001e-308",
		`"0"`, `"1"`, `"18446744073709551615"`, `"1e18"`, `"1.5"`, `"NaN"`, `"Infinity"`, `"-Infinity"`, "null",
	}
	// jsonStrings are texts of strings, without quotes.
	jsonStrings = []string{
		"", "a", `\n`, `\u0000`, `\u00e9`, `\ud83d\ude00`, `\ud83d`, `\/`, `\"`, "é", "日", "\xff", "\x7f",
		strings.Repeat("a", 15), strings.Repeat("a", 100), strings.Repeat(`\u0061`, 20), strings.Repeat(`a\n`, 20), strings.Repeat(`\ud83d`, 20),
		strings.Repeat("\xff", 40), "AAAA", "AA==", "A-_A", "00", "ffffffffffffffffffffffffffffffff",
		strings.Repeat("0", 100), strings.Repeat("AAAA", 25), strings.Repeat(`\u0041`, 20),
	}
)

// jsonPieces returns values of a field in JSON.
func jsonPieces(f protoreflect.FieldDescriptor) (list []piece) {
	var values []string
	switch f.Kind() {
	case protoreflect.MessageKind:
		values = []string{"{}", "{ }", "null", `{"x":0}`}
	case protoreflect.StringKind, protoreflect.BytesKind:
		values = append(values, "null")
		for _, s := range jsonStrings {
			values = append(values, `"`+s+`"`)
		}
	case protoreflect.EnumKind:
		values = append([]string{"null"}, jsonNumbers[:10]...)
		for i := range f.Enum().Values().Len() {
			values = append(values, `"`+string(f.Enum().Values().Get(i).Name())+`"`)
		}
	case protoreflect.BoolKind:
		values = []string{"true", "false", "null", `"true"`}
	default:
		values = jsonNumbers
	}
	for _, v := range values {
		name := fmt.Sprintf("%s %.30s", f.JSONName(), v)
		key := `"` + f.JSONName() + `":`
		if !f.IsList() {
			list = append(list, piece{name: name, unit: key + v, sep: ","})
			continue
		}
		list = append(list, piece{name: name, open: key + "[", unit: v, close: "]", sep: ","},
			piece{name: name + " in lists", unit: key + "[" + v + "]", sep: ","})
	}
	v := values[0]
	if f.IsList() {
		v = "[" + v + "]"
	}
	return append(list,
		piece{name: string(f.Name()) + " by its other name", unit: `"` + string(f.Name()) + `":` + v, sep: ","},
		piece{name: f.JSONName() + " escaped", unit: fmt.Sprintf(`"\u%04x%s":%s`, f.JSONName()[0], f.JSONName()[1:], v), sep: ","},
		piece{name: f.JSONName() + " spaced", unit: fmt.Sprintf(` "%s" : %s `, f.JSONName(), v), sep: ","})
}

// jsonUnknown returns members that no message has, and white space.
func jsonUnknown() (list []piece) {
	values := []string{"0", "null", "true", `""`, "[]", "{}", strings.Repeat("[", 50) + strings.Repeat("]", 50),
		strings.Repeat(`{"":`, 50) + "0" + strings.Repeat("}", 50), `"` + strings.Repeat(`\u0061`, 20) + `"`, "-1.5e+100",
		`"\ud83d\ude00"`, `"é"`, `"` + strings.Repeat("é", 40) + `"`, `"` + strings.Repeat("\xff", 40) + `"`, "123456789012345678901234567890"}
	for _, v := range values {
		list = append(list, piece{name: fmt.Sprintf("unknown %.30s", v), unit: `"x":` + v, sep: ","})
		list = append(list, piece{name: fmt.Sprintf("a list of unknown %.30s", v), open: `"x":[`, unit: v, close: "]", sep: ","})
	}
	for _, space := range []string{" ", "\n", "\t", "\r\n"} {
		list = append(list, piece{name: fmt.Sprintf("white space %q", space), open: "", unit: space})
	}
	return append(list, piece{name: "long key", unit: `"` + strings.Repeat("a", 100) + `":0`, sep: ","},
		piece{name: "escaped key", unit: `"` + strings.Repeat(`\u0061`, 10) + `":0`, sep: ","})
}

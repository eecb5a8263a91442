package oracle

import "encoding/json"

// resolveProfiles replaces the references to the dictionary's strings and
// attributes in the JSON of profiles by what they refer to, and removes both
// tables: their order, and which entries are shared, have no meaning.
func resolveProfiles(request any) any {
	top, ok := request.(map[string]any)
	if !ok {
		return request
	}
	dictionary, _ := top["dictionary"].(map[string]any)
	if dictionary == nil {
		dictionary = map[string]any{}
	}
	r := resolver{}
	r.strings, _ = dictionary["stringTable"].([]any)
	attributes, _ := dictionary["attributeTable"].([]any)
	delete(dictionary, "stringTable")
	delete(dictionary, "attributeTable")
	r.attributes = attributes
	r.resolve(attributes)
	r.resolve(top)
	return top
}

type resolver struct{ strings, attributes []any }

// references are the fields that refer to strings, and what replaces them.
var references = map[string]string{
	"keyStrindex": "key", "stringValueStrindex": "stringValue", "typeStrindex": "type", "unitStrindex": "unit",
	"nameStrindex": "name", "systemNameStrindex": "systemName", "filenameStrindex": "filename",
}

func (r resolver) resolve(v any) {
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			r.resolve(e)
		}
	case map[string]any:
		for k, e := range v {
			r.resolve(e)
			if name, ok := references[k]; ok {
				delete(v, k)
				v[name] = entry(r.strings, e)
			}
		}
		if indices, ok := v["attributeIndices"].([]any); ok {
			list := []any{}
			for _, i := range indices {
				list = append(list, entry(r.attributes, i))
			}
			v["attributeIndices"] = list
		}
	}
}

func entry(table []any, index any) any {
	n, ok := index.(json.Number)
	if !ok {
		return index
	}
	i, err := n.Int64()
	if err != nil || i < 0 || int(i) >= len(table) {
		return "reference beyond the table: " + n.String()
	}
	return table[i]
}

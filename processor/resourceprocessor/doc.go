// Package resourceprocessor is the Collector's `resource` processor: it inserts,
// updates, upserts and deletes attributes of resources, for all four signals.
//
//	processors:
//	  resource:
//	    attributes:
//	    - {key: deployment.environment.name, value: staging, action: upsert}
//	    - {key: k8s.cluster.name, from_attribute: cluster, action: insert}
//	    - {key: host.ip, action: delete}
//
// It works from wire to wire. Of a request it reads the resources and nothing
// below them:
//
//	ExportXServiceRequest     copied but for the lengths
//	├─ ResourceX              length rewritten
//	│  ├─ Resource            length rewritten
//	│  │  ├─ KeyValue*        replaced, cut out, added
//	│  │  └─ …                copied
//	│  └─ ScopeX*, …          copied as one range, items and all
//	└─ dictionary, …          copied
//
// So unknown fields stay, the order of what is not touched stays, and
// the cost does not depend on the number of items. A request in which nothing
// changes is passed on as it is.
//
// In profiles a key or a string may be a reference into the dictionary. They are
// looked up there, but what is added is written inline, so that the dictionary
// stays byte for byte what it was: a new string would move its length, and other
// requests may share it. Inline is as legal as a reference: key and key_strindex,
// string_value and string_value_strindex exclude each other (common.proto).
//
// The one trap: attributes are meant to have distinct keys. Where they have not,
// the first one counts and the others stay, as in the Collector's pcommon.Map.
package resourceprocessor

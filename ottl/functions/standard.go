package functions

import "github.com/penstock-telemetry/penstock/ottl"

// Standard returns the functions that every processor has.
func Standard() []ottl.Function {
	return append([]ottl.Function{
		set, clearTarget, deleteKey, deleteMatchingKeys, keepKeys, keepMatchingKeys, limit, mergeMaps, flatten, truncateAll, stringifyAll,
		replacePattern, replaceMatch, replaceAllPatterns, replaceAllMatches, appendTo, deleteIndex,
	}, Converters()...)
}

// Converters returns the functions of Standard that are converters.
func Converters() []ottl.Function {
	return []ottl.Function{
		base64Encode, toBool, coalesce, communityID, concat, containsValue, convertCase, day, decode, toDouble, duration, extractGrokPatterns, extractPatterns, fnv, format, formatTime,
		hasPrefix, hasSuffix, toHex, hour, hours, index, toInt, isBool, isDouble, isEmpty, isInCIDR, isInt, isList, isMap, isMatch, isRootSpan, isString, isValidLuhn,
		keys, length, logarithm, md5Sum, microseconds, milliseconds, minute, minutes, month, murmur3Hash, murmur3Hash128, nanosecond, nanoseconds, now,
		parseCSV, parseInt, parseJSON, parseKeyValue, parseSeverity, parseSimplifiedXML, parseXML, profileID, second, seconds, sha1Sum, sha256Sum, sha512Sum,
		sliceToMap, sortList, spanID, split, toString, substring, parseTime, toCamelCase, toKeyValueString, toLowerCase, toSnakeCase, toUpperCase, traceID,
		trim, trimPrefix, trimSuffix, truncateTime, unix, unixMicro, unixMilli, unixNano, unixSeconds, parseURL, newUUID, newUUIDv7, values, weekday, xxh128Sum, xxh3Sum, year,
	}
}

// Conditions returns the functions that only conditions have.
func Conditions() []ottl.Function {
	return []ottl.Function{hasAttrKeyOnDatapoint, hasAttrOnDatapoint}
}

var set = ottl.Function{Name: "set", Params: ottl.P("target", "value"), Edit: func(a *ottl.Args) (func(*env) error, error) {
	target, err := a.Target(0)
	if err != nil {
		return nil, err
	}
	value, err := a.Value(1)
	return func(e *env) error {
		v, err := value(e)
		if err != nil {
			return err
		}
		return target.Set(e, v)
	}, err
}}

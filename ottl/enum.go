package ottl

import "fmt"

// enums are the numbers of names, by context.
var enums = func() map[string]map[string]int64 {
	span := map[string]int64{"STATUS_CODE_UNSET": 0, "STATUS_CODE_OK": 1, "STATUS_CODE_ERROR": 2}
	for i, name := range []string{"UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER"} {
		span["SPAN_KIND_"+name] = int64(i)
	}
	metric, point := map[string]int64{}, map[string]int64{"FLAG_NONE": 0, "FLAG_NO_RECORDED_VALUE": 1}
	for _, m := range []map[string]int64{metric, point} {
		for i, name := range []string{"UNSPECIFIED", "DELTA", "CUMULATIVE"} {
			m["AGGREGATION_TEMPORALITY_"+name] = int64(i)
		}
		for i, name := range []string{"NONE", "GAUGE", "SUM", "HISTOGRAM", "EXPONENTIAL_HISTOGRAM", "SUMMARY"} {
			m["METRIC_DATA_TYPE_"+name] = int64(i)
		}
	}
	log := map[string]int64{"SEVERITY_NUMBER_UNSPECIFIED": 0}
	for i, name := range []string{"TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"} {
		log["SEVERITY_NUMBER_"+name] = int64(4*i + 1)
		for j := 2; j <= 4; j++ {
			log[fmt.Sprintf("SEVERITY_NUMBER_%s%d", name, j)] = int64(4*i + j)
		}
	}
	return map[string]map[string]int64{"span": span, "spanevent": span, "metric": metric, "datapoint": point, "log": log}
}()

// Package aggregate merges the data points of metrics that have the same attributes and
// times, as the processors `transform` and `metricstransform` do:
//
//	a.Begin(otlpfield.MetricSum, delta, mem)
//	for each data point, of one metric or of several of one type
//		a.Add(point)
//	a.AppendTo(&enc, aggregate.Sum)    the fields data_points of the result
//
// Points are compared and merged as they are on the wire: a group of one point is copied,
// and of the merged ones the first is copied but for the fields that the merge changes,
// with its unknown fields. Groups are in the order of their first points. Finding the
// groups takes time in proportion to the bytes of the points.
package aggregate

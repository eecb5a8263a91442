package otlpedit_test

import (
	"fmt"

	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/otlp/otlpfield"
	"github.com/penstock-telemetry/penstock/otlpedit"
)

// maskCards replaces the value of the attribute card.number in log records, and
// drops the records of the lowest severity.
type maskCards struct{ masked []byte }

func newMaskCards() otlpedit.Editor {
	var e otlp.Encoder
	otlp.AppendAnyValue(&e).SetStringValue("****")
	return &maskCards{masked: e.Buf}
}

func (m *maskCards) Edit(p *otlpedit.Pass, _ otlpedit.Levels, record []byte, w *otlpedit.Writer) (otlpedit.Verdict, error) {
	if otlp.LogRecord(record).SeverityNumber() == otlp.SeverityNumberTrace {
		return otlpedit.Drop, nil
	}
	changed := w.Each(record, otlpfield.LogRecordAttributes, func(attribute []byte) otlpedit.Verdict {
		if string(p.Key(attribute)) != "card.number" {
			return otlpedit.Keep
		}
		w.Without(attribute, otlpfield.KeyValueValue)
		w.Bytes(otlpfield.KeyValueValue, m.masked)
		return otlpedit.Replace
	})
	if !changed {
		return otlpedit.Keep, nil
	}
	return otlpedit.Replace, nil
}

func (m *maskCards) End() {}

// A plan for log records, applied to one request.
func Example() {
	var e otlp.Encoder
	rl := otlp.AppendExportLogsServiceRequest(&e).AddResourceLogs()
	sl := rl.AddScopeLogs()
	for _, severity := range []otlp.SeverityNumber{otlp.SeverityNumberInfo, otlp.SeverityNumberTrace} {
		record := sl.AddLogRecords()
		record.SetSeverityNumber(severity)
		for _, kv := range [][2]string{{"shop", "north"}, {"card.number", "4111 1111 1111 1111"}} {
			a := record.AddAttributes()
			a.SetKey(kv[0])
			v := a.SetValue()
			v.SetStringValue(kv[1])
			v.Close()
			a.Close()
		}
		record.Close()
	}
	sl.Close()
	rl.Close()

	pass := otlpedit.NewPass(otlpedit.Plan{Edits: otlpedit.Items, Drops: otlpedit.Items, New: newMaskCards})
	verdict, edited, err := pass.Run(otlp.Logs, e.Buf, 2, otlpedit.Heap{})
	fmt.Println(verdict == otlpedit.Replace, err)
	fmt.Println(pass.Items(0), "record is left")
	for g := range otlp.Groups(edited) {
		for item := range g.Items.All() {
			for key, value := range otlp.Attributes(otlp.LogRecord(item).Attributes(), nil) {
				fmt.Printf("%s=%s\n", key, value.AppendText(nil))
			}
		}
	}
	// Output:
	// true <nil>
	// 1 record is left
	// shop=north
	// card.number=****
}

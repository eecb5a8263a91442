// Sends spans, data points and log records with the OpenTelemetry JS SDK.
//
//	node export.mjs http://host:port json|proto none|gzip
//
// prints how many of each it has sent, as JSON.
import { SpanKind, SpanStatusCode } from '@opentelemetry/api';
import { SeverityNumber } from '@opentelemetry/api-logs';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { BasicTracerProvider, BatchSpanProcessor } from '@opentelemetry/sdk-trace-base';
import { AggregationType, MeterProvider, PeriodicExportingMetricReader } from '@opentelemetry/sdk-metrics';
import { BatchLogRecordProcessor, LoggerProvider } from '@opentelemetry/sdk-logs';

const [base, format, compression] = process.argv.slice(2);
const kind = { json: 'http', proto: 'proto' }[format];
const { OTLPTraceExporter } = await import(`@opentelemetry/exporter-trace-otlp-${kind}`);
const { OTLPMetricExporter } = await import(`@opentelemetry/exporter-metrics-otlp-${kind}`);
const { OTLPLogExporter } = await import(`@opentelemetry/exporter-logs-otlp-${kind}`);

const failures = [];
// watched is an exporter that remembers what the SDK would only log.
function watched(exporter) {
  const send = exporter.export.bind(exporter);
  exporter.export = (items, done) => send(items, result => {
    if (result.code !== 0) failures.push(String(result.error));
    done(result);
  });
  return exporter;
}
const to = path => ({ url: base + path, compression });
const resource = resourceFromAttributes({ 'service.name': 'js', 'process.pid': process.pid, 'list.mixed': ['ü', '日本', '😀'] });

const spans = 600;
const tracers = new BasicTracerProvider({
  resource,
  spanProcessors: [new BatchSpanProcessor(watched(new OTLPTraceExporter(to('/v1/traces'))), { maxQueueSize: 4 * spans })],
});
const tracer = tracers.getTracer('interop', '1.0', { schemaUrl: 'https://opentelemetry.io/schemas/1.37.0' });
for (let i = 0; i < spans; i++) {
  const span = tracer.startSpan(`span ${i}`, {
    kind: [SpanKind.INTERNAL, SpanKind.SERVER, SpanKind.CLIENT][i % 3],
    attributes: {
      i, half: i + 0.5, negative: -i, big: Number.MAX_SAFE_INTEGER, tiny: 1e-300, yes: i % 2 === 0,
      text: `"quoted" \\ back\nline \u0001 ünï 😀 ${i}`, empty: '', ints: [1, 2, 3], doubles: [0.5, -0.25], bools: [true, false], none: [],
    },
  });
  span.addEvent('event', { at: i });
  span.addLink({ context: { traceId: '0af7651916cd43dd8448eb211c80319c', spanId: 'b7ad6b7169203331', traceFlags: 1 }, attributes: { link: 'yes' } });
  if (i % 5 === 0) span.setStatus({ code: SpanStatusCode.ERROR, message: 'went wrong' });
  span.end();
}

const sets = 20;
const meters = new MeterProvider({
  resource,
  readers: [new PeriodicExportingMetricReader({ exporter: watched(new OTLPMetricExporter(to('/v1/metrics'))), exportIntervalMillis: 3_600_000 })],
  views: [{ instrumentName: 'exponential', aggregation: { type: AggregationType.EXPONENTIAL_HISTOGRAM } }],
});
const meter = meters.getMeter('interop');
const instruments = [
  meter.createCounter('counter', { unit: '{request}', description: 'a sum' }),
  meter.createUpDownCounter('updown'),
  meter.createGauge('gauge'),
  meter.createHistogram('histogram', { unit: 's' }),
  meter.createHistogram('exponential'),
];
for (const instrument of instruments) {
  for (let i = 0; i < sets; i++) {
    (instrument.add ?? instrument.record).call(instrument, i + 0.25, { i });
  }
}

const records = 400;
const loggers = new LoggerProvider({
  resource,
  processors: [new BatchLogRecordProcessor({ exporter: watched(new OTLPLogExporter(to('/v1/logs'))), maxQueueSize: 4 * records })],
});
const logger = loggers.getLogger('interop');
for (let i = 0; i < records; i++) {
  logger.emit({
    severityNumber: SeverityNumber.WARN,
    severityText: 'WARN',
    body: i % 2 ? `record ${i}` : { map: { deep: [i, 'x', null, 1.5] }, bytes: new Uint8Array([0, 1, 254, 255]) },
    attributes: { i },
    eventName: 'event.name',
  });
}

await Promise.all([tracers.shutdown(), meters.shutdown(), loggers.shutdown()]);
if (failures.length > 0) {
  console.error(failures.join('\n'));
  process.exit(1);
}
console.log(JSON.stringify({ traces: spans, metrics: sets * instruments.length, logs: records }));

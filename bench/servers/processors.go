package main

// processors are the processors of scenarios, as users write them. A configuration has all
// of them; a scenario uses some.
const processors = `
processors:
  attributes:
    actions:
    - {key: http.request.method, from_attribute: http.method, action: upsert}
    - {key: http.method, action: delete}
    - {key: http.response.status_code, from_attribute: http.status_code, action: upsert}
    - {key: http.status_code, action: delete}
    - {key: enduser.id, from_attribute: user.id, action: upsert}
    - {key: user.id, action: delete}
    - {key: network.peer.address, from_attribute: net.peer.ip, action: upsert}
    - {key: net.peer.ip, action: delete}
  filter:
    logs:
      log_record: ['attributes["level"] != "error"']
  filter/keep:
    logs:
      log_record: ['IsMatch(body, "healthcheck")']
  transform/one:
    log_statements:
    - context: log
      statements: ['set(attributes["env"], "prod")']
  transform/rename:
    log_statements:
    - context: log
      statements:
      - set(attributes["http.request.method"], attributes["http.method"])
      - delete_key(attributes, "http.method")
      - set(attributes["http.response.status_code"], attributes["http.status_code"])
      - delete_key(attributes, "http.status_code")
      - set(attributes["enduser.id"], attributes["user.id"])
      - delete_key(attributes, "user.id")
      - set(attributes["network.peer.address"], attributes["net.peer.ip"])
      - delete_key(attributes, "net.peer.ip")
  transform/ten:
    log_statements:
    - context: log
      statements:
      - set(severity_number, SEVERITY_NUMBER_ERROR) where attributes["level"] == "error"
      - set(severity_text, "ERROR") where IsMatch(attributes["level"], "^error$$")
      - set(attributes["env"], "prod") where IsMatch(resource.attributes["k8s.pod.name"], "^checkout-")
      - set(attributes["service"], resource.attributes["service.name"])
      - delete_key(attributes, "thread.name")
      - delete_key(attributes, "session.id")
      - replace_pattern(body, "password=\\\\S+", "password=***")
      - replace_pattern(attributes["http.route"], "/v1/", "/")
      - set(attributes["slow"], true) where IsMatch(body, "took [0-9]{4,}ms")
      - set(attributes["http.class"], "2xx") where attributes["http.status_code"] >= 200 and attributes["http.status_code"] < 300
  transform/none:
    log_statements:
    - context: log
      statements:
      - set(severity_number, SEVERITY_NUMBER_FATAL) where attributes["level"] == "fatal"
      - set(attributes["env"], "test") where resource.attributes["service.name"] == "none"
      - delete_key(attributes, "user.id") where IsMatch(body, "healthcheck")
      - set(attributes["a"], 1) where attributes["http.status_code"] == 500
      - set(attributes["b"], 1) where attributes["http.method"] == "POST"
      - set(attributes["c"], 1) where attributes["none"] != nil
      - set(attributes["d"], 1) where severity_number > SEVERITY_NUMBER_ERROR
      - set(attributes["e"], 1) where HasPrefix(attributes["http.route"], "/none")
      - set(attributes["f"], 1) where event_name == "x"
      - set(attributes["g"], 1) where trace_id.string == "none"
`

// complete fills in what all scenarios with processors have in common.
func (sc scenario) complete() scenario {
	if sc.Processors != "" {
		sc.Transport, sc.Items, sc.Requests = "grpc", 1000, 1500
		sc.Relay, sc.Logs, sc.Wide, sc.Plain = true, true, true, true
	}
	return sc
}

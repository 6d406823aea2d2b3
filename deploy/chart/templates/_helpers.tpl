{{- define "instance.name" -}}{{ .Chart.Name }}{{- end }}

{{- define "instance.fullname" -}}
{{- if contains .Chart.Name .Release.Name }}{{ .Release.Name | trunc 40 | trimSuffix "-" }}
{{- else }}{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 40 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "instance.selector" -}}
app.kubernetes.io/name: {{ include "instance.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "instance.labels" -}}
{{ include "instance.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: instance
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end }}

{{- define "instance.image" -}}
{{- if .Values.image.digest }}{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else }}{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}{{ end }}
{{- end }}

{{- define "instance.serviceAccount" -}}
{{- if .Values.serviceAccount.create }}{{ .Values.serviceAccount.name | default (include "instance.fullname" .) }}
{{- else }}{{ .Values.serviceAccount.name | default "default" }}{{ end }}
{{- end }}

{{/* Who a role is on the bus. */}}
{{- define "instance.busEnv" -}}
- name: INSTANCE_PROFILE
  value: {{ .root.Values.profile | quote }}
- name: INSTANCE_NATS__URL
  value: {{ .root.Values.nats.url | quote }}
- name: INSTANCE_NATS__NKEY
  value: /var/run/instance/keys/{{ .component }}.nk
- name: INSTANCE_NATS__INBOX_PREFIX
  value: _INBOX_{{ .component }}
{{- end }}

{{/* What its spans, metrics and log lines say of where it runs, and how they are asked for. */}}
{{- define "instance.telemetryEnv" -}}
- name: POD_NAME
  valueFrom: {fieldRef: {fieldPath: metadata.name}}
- name: POD_UID
  valueFrom: {fieldRef: {fieldPath: metadata.uid}}
- name: POD_NAMESPACE
  valueFrom: {fieldRef: {fieldPath: metadata.namespace}}
- name: NODE_NAME
  valueFrom: {fieldRef: {fieldPath: spec.nodeName}}
- name: CONTAINER_NAME
  value: {{ .component }}
{{- with .root.Values.telemetry.metricsPort }}
- name: INSTANCE_TELEMETRY__LISTEN
  value: "0.0.0.0:{{ . }}"
{{- end }}
{{- with .root.Values.telemetry.otlpEndpoint }}
- name: OTEL_EXPORTER_OTLP_ENDPOINT
  value: {{ . | quote }}
{{- end }}
{{- end }}

{{- define "instance.metricsPort" -}}
{{- with .Values.telemetry.metricsPort -}}
- containerPort: {{ . }}
  name: metrics
{{- end }}
{{- end }}

{{/* Only its own key is in the pod. */}}
{{- define "instance.keyVolume" -}}
- name: keys
  secret:
    secretName: {{ .root.Values.nats.existingSecret }}
    defaultMode: 0440
    items:
      - key: {{ .component }}.nk
        path: {{ .component }}.nk
{{- end }}

{{- define "instance.keyMount" -}}
- name: keys
  mountPath: /var/run/instance/keys
  readOnly: true
{{- end }}

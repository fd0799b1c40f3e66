"""Queues, readers, accumulators, barriers and staging areas: what input pipelines of TensorFlow 1 leave in graphs. Known, and refused to run."""

from __future__ import annotations

from tracer import infer
from tracer.registry import op

_NUMBERS = (
    "{float, double, int32, uint8, int16, int8, complex64, int64, qint8, quint8, qint32, bfloat16, qint16, quint16, uint16, complex128, "
    "half, uint32, uint64}"
)

_QUEUES = (
    "FIFOQueue() -> (handle: ref(string)) !stateful; component_types: list(type) >= 1; "
    'shapes: list(shape) >= 0 = []; capacity: int = -1; container: string = ""; shared_name: string = ""',
    "FIFOQueueV2() -> (handle: resource) !stateful; component_types: list(type) >= 1; "
    'shapes: list(shape) >= 0 = []; capacity: int = -1; container: string = ""; shared_name: string = ""',
    "FakeQueue(resource: resource) -> (handle: ref(string)) !stateful",
    "PaddingFIFOQueue() -> (handle: ref(string)) !stateful; component_types: list(type) >= 1; "
    'shapes: list(shape) >= 0 = []; capacity: int = -1; container: string = ""; shared_name: string = ""',
    "PaddingFIFOQueueV2() -> (handle: resource) !stateful; component_types: list(type) >= 1; "
    'shapes: list(shape) >= 0 = []; capacity: int = -1; container: string = ""; shared_name: string = ""',
    "PriorityQueue() -> (handle: ref(string)) !stateful; component_types: list(type) >= 0 = []; "
    'shapes: list(shape) >= 0; capacity: int = -1; container: string = ""; shared_name: string = ""',
    "PriorityQueueV2() -> (handle: resource) !stateful; component_types: list(type) >= 0 = []; "
    'shapes: list(shape) >= 0; capacity: int = -1; container: string = ""; shared_name: string = ""',
    "QueueClose(handle: ref(string)) -> (); cancel_pending_enqueues: bool = false",
    "QueueCloseV2(handle: resource) -> () !stateful; cancel_pending_enqueues: bool = false",
    "QueueDequeue(handle: ref(string)) -> (components: component_types); component_types: list(type) >= 1; "
    "timeout_ms: int = -1",
    "QueueDequeueMany(handle: ref(string), n: int32) -> (components: component_types); "
    "component_types: list(type) >= 1; timeout_ms: int = -1",
    "QueueDequeueManyV2(handle: resource, n: int32) -> (components: component_types) !stateful; "
    "component_types: list(type) >= 1; timeout_ms: int = -1",
    "QueueDequeueUpTo(handle: ref(string), n: int32) -> (components: component_types); "
    "component_types: list(type) >= 1; timeout_ms: int = -1",
    "QueueDequeueUpToV2(handle: resource, n: int32) -> (components: component_types) !stateful; "
    "component_types: list(type) >= 1; timeout_ms: int = -1",
    "QueueDequeueV2(handle: resource) -> (components: component_types) !stateful; "
    "component_types: list(type) >= 1; timeout_ms: int = -1",
    "QueueEnqueue(handle: ref(string), components: Tcomponents) -> (); Tcomponents: list(type) >= 1; "
    "timeout_ms: int = -1",
    "QueueEnqueueMany(handle: ref(string), components: Tcomponents) -> (); Tcomponents: list(type) >= 1; "
    "timeout_ms: int = -1",
    "QueueEnqueueManyV2(handle: resource, components: Tcomponents) -> () !stateful; Tcomponents: list(type) >= 1; "
    "timeout_ms: int = -1",
    "QueueEnqueueV2(handle: resource, components: Tcomponents) -> () !stateful; Tcomponents: list(type) >= 1; "
    "timeout_ms: int = -1",
    "QueueIsClosed(handle: ref(string)) -> (is_closed: bool)",
    "QueueIsClosedV2(handle: resource) -> (is_closed: bool) !stateful",
    "QueueSize(handle: ref(string)) -> (size: int32)",
    "QueueSizeV2(handle: resource) -> (size: int32) !stateful",
    "RandomShuffleQueue() -> (handle: ref(string)) !stateful; component_types: list(type) >= 1; "
    "shapes: list(shape) >= 0 = []; capacity: int = -1; min_after_dequeue: int = 0; seed: int = 0; seed2: int = 0; "
    'container: string = ""; shared_name: string = ""',
    "RandomShuffleQueueV2() -> (handle: resource) !stateful; component_types: list(type) >= 1; "
    "shapes: list(shape) >= 0 = []; capacity: int = -1; min_after_dequeue: int = 0; seed: int = 0; seed2: int = 0; "
    'container: string = ""; shared_name: string = ""',
)
_READERS = (
    "FixedLengthRecordReader() -> (reader_handle: ref(string)) !stateful; header_bytes: int = 0; "
    'record_bytes: int; footer_bytes: int = 0; hop_bytes: int = 0; container: string = ""; shared_name: string = ""',
    "FixedLengthRecordReaderV2() -> (reader_handle: resource) !stateful; header_bytes: int = 0; record_bytes: int; "
    'footer_bytes: int = 0; hop_bytes: int = 0; container: string = ""; shared_name: string = ""; '
    'encoding: string = ""',
    'IdentityReader() -> (reader_handle: ref(string)) !stateful; container: string = ""; shared_name: string = ""',
    'IdentityReaderV2() -> (reader_handle: resource) !stateful; container: string = ""; shared_name: string = ""',
    'LMDBReader() -> (reader_handle: ref(string)) !stateful; container: string = ""; shared_name: string = ""',
    "ReaderNumRecordsProduced(reader_handle: ref(string)) -> (records_produced: int64)",
    "ReaderNumRecordsProducedV2(reader_handle: resource) -> (records_produced: int64) !stateful",
    "ReaderNumWorkUnitsCompleted(reader_handle: ref(string)) -> (units_completed: int64)",
    "ReaderNumWorkUnitsCompletedV2(reader_handle: resource) -> (units_completed: int64) !stateful",
    "ReaderRead(reader_handle: ref(string), queue_handle: ref(string)) -> (key: string, value: string)",
    "ReaderReadUpTo(reader_handle: ref(string), queue_handle: ref(string), num_records: int64) -> (keys: string, "
    "values: string)",
    "ReaderReadUpToV2(reader_handle: resource, queue_handle: resource, num_records: int64) -> (keys: string, "
    "values: string) !stateful",
    "ReaderReadV2(reader_handle: resource, queue_handle: resource) -> (key: string, value: string) !stateful",
    "ReaderReset(reader_handle: ref(string)) -> ()",
    "ReaderResetV2(reader_handle: resource) -> () !stateful",
    "ReaderRestoreState(reader_handle: ref(string), state: string) -> ()",
    "ReaderRestoreStateV2(reader_handle: resource, state: string) -> () !stateful",
    "ReaderSerializeState(reader_handle: ref(string)) -> (state: string)",
    "ReaderSerializeStateV2(reader_handle: resource) -> (state: string) !stateful",
    "RecordInput() -> (records: string) !stateful; file_pattern: string; file_random_seed: int = 301; "
    "file_shuffle_shift_ratio: float = 0.0; file_buffer_size: int = 10000; file_parallelism: int = 16; "
    'batch_size: int = 32; compression_type: string = ""',
    'TFRecordReader() -> (reader_handle: ref(string)) !stateful; container: string = ""; shared_name: string = ""; '
    'compression_type: string = ""',
    'TFRecordReaderV2() -> (reader_handle: resource) !stateful; container: string = ""; shared_name: string = ""; '
    'compression_type: string = ""',
    "TextLineReader() -> (reader_handle: ref(string)) !stateful; skip_header_lines: int = 0; "
    'container: string = ""; shared_name: string = ""',
    "TextLineReaderV2() -> (reader_handle: resource) !stateful; skip_header_lines: int = 0; "
    'container: string = ""; shared_name: string = ""',
    'WholeFileReader() -> (reader_handle: ref(string)) !stateful; container: string = ""; shared_name: string = ""',
    'WholeFileReaderV2() -> (reader_handle: resource) !stateful; container: string = ""; shared_name: string = ""',
)
_ACCUMULATORS = (
    f"AccumulatorApplyGradient(handle: ref(string), local_step: int64, gradient: dtype) -> (); dtype: {_NUMBERS}",
    "AccumulatorNumAccumulated(handle: ref(string)) -> (num_accumulated: int32)",
    "AccumulatorSetGlobalStep(handle: ref(string), new_global_step: int64) -> ()",
    f"AccumulatorTakeGradient(handle: ref(string), num_required: int32) -> (average: dtype); dtype: {_NUMBERS}",
    f"ConditionalAccumulator() -> (handle: ref(string)) !stateful; dtype: {_NUMBERS}; shape: shape; "
    'container: string = ""; shared_name: string = ""; reduction_type: {"MEAN", "SUM"} = "MEAN"',
    "ResourceAccumulatorApplyGradient(handle: resource, local_step: int64, gradient: dtype) -> () !stateful; "
    f"dtype: {_NUMBERS}",
    "ResourceAccumulatorNumAccumulated(handle: resource) -> (num_accumulated: int32) !stateful",
    "ResourceAccumulatorSetGlobalStep(handle: resource, new_global_step: int64) -> () !stateful",
    "ResourceAccumulatorTakeGradient(handle: resource, num_required: int32) -> (average: dtype) !stateful; "
    f"dtype: {_NUMBERS}",
    f"ResourceConditionalAccumulator() -> (handle: resource) !stateful; dtype: {_NUMBERS}; shape: shape; "
    'container: string = ""; shared_name: string = ""; reduction_type: {"MEAN", "SUM"} = "MEAN"',
    "SparseAccumulatorApplyGradient(handle: ref(string), local_step: int64, gradient_indices: int64, "
    f"gradient_values: dtype, gradient_shape: int64) -> (); dtype: {_NUMBERS}; has_known_shape: bool",
    "SparseAccumulatorTakeGradient(handle: ref(string), num_required: int32) -> (indices: int64, values: dtype, "
    f"shape: int64); dtype: {_NUMBERS}",
    f"SparseConditionalAccumulator() -> (handle: ref(string)) !stateful; dtype: {_NUMBERS}; shape: shape; "
    'container: string = ""; shared_name: string = ""; reduction_type: {"MEAN", "SUM"} = "MEAN"',
)
_BARRIERS = (
    "Barrier() -> (handle: ref(string)) !stateful; component_types: list(type) >= 1; "
    'shapes: list(shape) >= 0 = []; capacity: int = -1; container: string = ""; shared_name: string = ""',
    "BarrierClose(handle: ref(string)) -> (); cancel_pending_enqueues: bool = false",
    "BarrierIncompleteSize(handle: ref(string)) -> (size: int32)",
    "BarrierInsertMany(handle: ref(string), keys: string, values: T) -> (); T: type; component_index: int",
    "BarrierReadySize(handle: ref(string)) -> (size: int32)",
    "BarrierTakeMany(handle: ref(string), num_elements: int32) -> (indices: int64, keys: string, "
    "values: component_types); component_types: list(type) >= 1; allow_small_batch: bool = false; "
    "wait_for_incomplete: bool = false; timeout_ms: int = -1",
)
_STAGING = (
    "MapClear() -> () !stateful; capacity: int >= 0 = 0; memory_limit: int >= 0 = 0; dtypes: list(type); "
    'container: string = ""; shared_name: string = ""',
    "MapIncompleteSize() -> (size: int32) !stateful; capacity: int >= 0 = 0; memory_limit: int >= 0 = 0; "
    'dtypes: list(type); container: string = ""; shared_name: string = ""',
    "MapPeek(key: int64, indices: int32) -> (values: dtypes) !stateful; capacity: int >= 0 = 0; "
    'memory_limit: int >= 0 = 0; dtypes: list(type) >= 1; container: string = ""; shared_name: string = ""',
    "MapSize() -> (size: int32) !stateful; capacity: int >= 0 = 0; memory_limit: int >= 0 = 0; dtypes: list(type); "
    'container: string = ""; shared_name: string = ""',
    "MapStage(key: int64, indices: int32, values: fake_dtypes) -> () !stateful; capacity: int >= 0 = 0; "
    'memory_limit: int >= 0 = 0; dtypes: list(type); fake_dtypes: list(type) >= 1; container: string = ""; '
    'shared_name: string = ""',
    "MapUnstage(key: int64, indices: int32) -> (values: dtypes) !stateful; capacity: int >= 0 = 0; "
    'memory_limit: int >= 0 = 0; dtypes: list(type) >= 1; container: string = ""; shared_name: string = ""',
    "MapUnstageNoKey(indices: int32) -> (key: int64, values: dtypes) !stateful; capacity: int >= 0 = 0; "
    'memory_limit: int >= 0 = 0; dtypes: list(type) >= 1; container: string = ""; shared_name: string = ""',
    "OrderedMapClear() -> () !stateful; capacity: int >= 0 = 0; memory_limit: int >= 0 = 0; dtypes: list(type); "
    'container: string = ""; shared_name: string = ""',
    "OrderedMapIncompleteSize() -> (size: int32) !stateful; capacity: int >= 0 = 0; memory_limit: int >= 0 = 0; "
    'dtypes: list(type); container: string = ""; shared_name: string = ""',
    "OrderedMapPeek(key: int64, indices: int32) -> (values: dtypes) !stateful; capacity: int >= 0 = 0; "
    'memory_limit: int >= 0 = 0; dtypes: list(type) >= 1; container: string = ""; shared_name: string = ""',
    "OrderedMapSize() -> (size: int32) !stateful; capacity: int >= 0 = 0; memory_limit: int >= 0 = 0; "
    'dtypes: list(type); container: string = ""; shared_name: string = ""',
    "OrderedMapStage(key: int64, indices: int32, values: fake_dtypes) -> () !stateful; capacity: int >= 0 = 0; "
    'memory_limit: int >= 0 = 0; dtypes: list(type); fake_dtypes: list(type) >= 1; container: string = ""; '
    'shared_name: string = ""',
    "OrderedMapUnstage(key: int64, indices: int32) -> (values: dtypes) !stateful; capacity: int >= 0 = 0; "
    'memory_limit: int >= 0 = 0; dtypes: list(type) >= 1; container: string = ""; shared_name: string = ""',
    "OrderedMapUnstageNoKey(indices: int32) -> (key: int64, values: dtypes) !stateful; capacity: int >= 0 = 0; "
    'memory_limit: int >= 0 = 0; dtypes: list(type) >= 1; container: string = ""; shared_name: string = ""',
    "Stage(values: dtypes) -> () !stateful; capacity: int >= 0 = 0; memory_limit: int >= 0 = 0; "
    'dtypes: list(type) >= 1; container: string = ""; shared_name: string = ""',
    "StageClear() -> () !stateful; capacity: int >= 0 = 0; memory_limit: int >= 0 = 0; dtypes: list(type); "
    'container: string = ""; shared_name: string = ""',
    "StagePeek(index: int32) -> (values: dtypes) !stateful; capacity: int >= 0 = 0; memory_limit: int >= 0 = 0; "
    'dtypes: list(type) >= 1; container: string = ""; shared_name: string = ""',
    "StageSize() -> (size: int32) !stateful; capacity: int >= 0 = 0; memory_limit: int >= 0 = 0; "
    'dtypes: list(type); container: string = ""; shared_name: string = ""',
    "Unstage() -> (values: dtypes) !stateful; capacity: int >= 0 = 0; memory_limit: int >= 0 = 0; "
    'dtypes: list(type) >= 1; container: string = ""; shared_name: string = ""',
)

_WHY = (
    (_QUEUES, "it passes tensors between threads of a training program; feed the tensors that come out of the queue instead"),
    (_READERS, "it reads files for a training program; feed the records instead"),
    (_ACCUMULATORS, "it collects gradients of several training programs; a model does not need it to run"),
    (_BARRIERS, "it joins tensors of several threads of a training program; feed the tensors that come out of it instead"),
    (_STAGING, "it passes tensors between threads of a training program; feed the tensors that come out of it instead"),
)
for _lines, _reason in _WHY:
    for _line in _lines:
        _record = op(_line).not_differentiable()
        _record.infer(infer.unknown)
        _record.no_kernel = _reason

"""The op families: each file holds the records (schema, shapes, kernel, gradient) and the public functions of related ops."""

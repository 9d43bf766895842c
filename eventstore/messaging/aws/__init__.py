"""Amazon Web Services as brokers: SNS topics with SQS queues, and EventBridge."""

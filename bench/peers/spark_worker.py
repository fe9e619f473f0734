# SPDX-License-Identifier: Apache-2.0
"""Spark MLlib in one warm JVM, local[2]: data cached and counted before a fit is timed. With the argument `once CSV` a
cold program: session, CSV of 1,000 rows, k-means, stop."""
import os
import sys

import numpy as np
from protocol import serve, timed
from pyspark.ml.classification import LogisticRegression
from pyspark.ml.clustering import KMeans
from pyspark.ml.feature import VectorAssembler
from pyspark.ml.recommendation import ALS
from pyspark.sql import SparkSession

slots = {}
models = {}


def session():
    scratch = os.environ.get("SPARK_LOCAL_DIRS", "/tmp")
    return (SparkSession.builder.master("local[2]").config("spark.driver.memory", "8g").config("spark.ui.enabled", "false")
            .config("spark.sql.shuffle.partitions", "4").config("spark.local.dir", scratch)
            .config("spark.driver.bindAddress", "127.0.0.1").config("spark.driver.host", "127.0.0.1").getOrCreate())


def start(request):
    global spark
    spark, seconds = timed(session)
    spark.sparkContext.setLogLevel("ERROR")
    return {"seconds": seconds}


def load(request):
    """Parquet, as Spark itself would have written it (vectors as vectors)."""
    for frame in slots.values():
        frame.unpersist()
    slots.clear()

    def read():
        frame = spark.read.parquet(request["path"]).repartition(2).cache()
        return frame, frame.count()

    (frame, rows), seconds = timed(read)
    slots[request.get("slot", "")] = frame
    return {"rows": rows, "seconds": seconds}


def kmeans(request, max_iter):
    return KMeans(k=request["k"], initMode="random", seed=request["seed"], maxIter=max_iter, tol=0.0, solver=request["solver"])


def fit(request):
    frame = slots[request.get("slot", "")]
    if request["learner"] == "kmeans":
        model, seconds = timed(lambda: kmeans(request, request["max_iter"]).fit(frame))
        np.savez(request["model"], centers=np.array(model.clusterCenters()))
        return {"seconds": seconds, "iterations": request["max_iter"]}
    if request["learner"] == "logistic":
        learner = LogisticRegression(regParam=request["reg_param"], tol=request["tol"], maxIter=1000, standardization=False,
                                     fitIntercept=request["fit_intercept"])
        model, seconds = timed(lambda: learner.fit(frame))
        np.savez(request["model"], coefficients=model.coefficientMatrix.toArray(), intercept=model.interceptVector.toArray())
        return {"seconds": seconds, "iterations": model.summary.totalIterations if request.get("summary") else None}
    return fit_als(request, frame)


def als(request, max_iter):
    return ALS(rank=request["rank"], maxIter=max_iter, regParam=request["reg_param"], implicitPrefs=request["implicit"],
               alpha=request["alpha"], seed=1)


def fit_als(request, frame):
    """Seconds an iteration: what more iterations take beyond one."""
    _, first = timed(lambda: als(request, 1).fit(frame))
    model, whole = timed(lambda: als(request, request["max_iter"]).fit(frame))
    models["als"] = model
    for name, factors in (("user", model.userFactors), ("item", model.itemFactors)):
        rows = factors.orderBy("id").collect()
        models[name] = np.array([row.features for row in rows]), np.array([row.id for row in rows])
    np.savez(request["model"], user_factors=models["user"][0], item_factors=models["item"][0])
    return {"seconds": whole, "iterations": request["max_iter"],
            "iteration_seconds": [(whole - first) / (request["max_iter"] - 1)]}


def recommend(request):
    rows, seconds = timed(lambda: models["als"].recommendForAllUsers(request["top"]).selectExpr("size(recommendations) n")
                          .groupBy().sum("n").collect()[0][0])
    return {"seconds": seconds, "rows": int(rows)}


def starting_centres(request):
    """Centres that a k-means of these parameters starts from."""
    model = kmeans(request, 0).fit(slots[request.get("slot", "")])
    return {"centres": np.array(model.clusterCenters()).tolist()}


def csv_to_model(request):
    def job():
        columns = [f"x{j}" for j in range(request["columns"])]
        schema = ", ".join(f"{name} double" for name in [*columns, "label"])
        frame = spark.read.csv(request["path"], header=True, schema=schema)
        frame = VectorAssembler(inputCols=columns, outputCol="features").transform(frame).select("features", "label").cache()
        model = LogisticRegression(regParam=request["reg_param"], tol=request["tol"], maxIter=1000, standardization=False).fit(frame)
        model.write().overwrite().save(request["directory"])
        frame.unpersist()
        return model

    model, seconds = timed(job)
    np.savez(request["model"], coefficients=model.coefficientMatrix.toArray(), intercept=model.interceptVector.toArray())
    return {"seconds": seconds}


def once(path):
    spark = session()
    frame = spark.read.csv(path, header=True, inferSchema=True)
    frame = VectorAssembler(inputCols=frame.columns, outputCol="features").transform(frame)
    print(KMeans(k=10, seed=1, maxIter=20).fit(frame).summary.trainingCost)
    spark.stop()


if "once" in sys.argv:
    once(sys.argv[-1])
else:
    serve({"start": start, "rows": load, "ratings": load, "fit": fit, "recommend": recommend, "csv_to_model": csv_to_model,
           "starting_centres": starting_centres})
